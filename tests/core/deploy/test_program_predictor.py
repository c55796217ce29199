"""A program in the place of its model gives the model's results."""

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.deploy.program import TensorsOnly
from mtvit_core.deploy.program_predictor import ProgramPredictor
from mtvit_core.errors import ConfigError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.predict import predict
from mtvit_core.inference.predictor import Predictor
from mtvit_core.model.multitask_vit import MultiTaskViT

CANVAS = (64, 96)
ONE = PredictOptions(batch_size=1)


def model_of(tasks: object, queries: str = "task") -> MultiTaskViT:
    return mtvit_core.build(
        "vit_tiny_patch16_224", tasks, canvas=CANVAS, person_canvas=(64, 48), queries=queries
    ).eval()


def program(model: MultiTaskViT, view: str = "image") -> TensorsOnly:
    """What an exported program computes, without the minutes of exporting it."""
    return TensorsOnly(model, view)


def images() -> list[Tensor]:
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((50, 70), (64, 96))]


@pytest.mark.parametrize("queries", ["task", "instance"])
def test_results_are_those_of_the_model(queries: str) -> None:
    model = model_of(["det", "seg", "pose"], queries)
    stand_in = ProgramPredictor(model, {"image": program(model)})
    assert isinstance(stand_in, Predictor)
    shown = images()
    found, expected = predict(stand_in, shown, options=ONE), model.predict(shown, batch_size=1)
    assert [one.to_json() for one in found] == [one.to_json() for one in expected]
    assert any(len(one) for one in found)


def test_an_exported_program_is_a_predictor() -> None:
    model = model_of({"det": {"queries": 5}})
    stand_in = ProgramPredictor(model, {"image": mtvit_core.export(model).module()})
    (found,), (expected,) = predict(stand_in, images()[:1]), model.predict(images()[:1])
    assert found.tasks == expected.tasks == ("det",) * len(found)


def test_mirror_images_go_through_the_program_too() -> None:
    model = model_of({"pose": {"variant": "vitpose-simple"}})
    stand_in = ProgramPredictor(model, {"person": program(model, "person")})
    shown = images()
    boxes = [torch.tensor([[5.0, 5.0, 40.0, 45.0], [2.0, 3.0, 30.0, 40.0]]), torch.zeros(0, 4)]
    found, expected = predict(stand_in, shown, boxes, ONE), model.predict(shown, boxes, batch_size=1)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.keypoints, other.keypoints)
    assert [len(one) for one in found] == [2, 0]


def test_a_view_without_a_program_is_refused() -> None:
    model = model_of({"pose": {"variant": "vitpose"}, "det": {}})
    with pytest.raises(ConfigError) as error:
        ProgramPredictor(model, {"image": program(model)})
    assert str(error.value) == (
        "programs: there is none for the view 'person' of the model; export it with view='person', or build "
        "the model without the tasks of that view."
    )


def test_a_pass_of_several_images_is_refused() -> None:
    model = model_of(["det"])
    stand_in = ProgramPredictor(model, {"image": program(model)})
    with pytest.raises(ConfigError) as error:
        predict(stand_in, images())
    assert str(error.value) == (
        "program: it takes one canvas of shape (1, 3, 64, 96), and was given (2, 3, 64, 96); predict with "
        "batch_size=1, on letterboxed images."
    )
