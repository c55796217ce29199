"""From tensors, lists and paths to results, in original pixels and whatever the batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from mtvit_core.errors import DataError, ShapeError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from support.commands.predict_cases import assert_same, make, picture
from support.models.spot_task import SpotConfig


def test_a_batch_and_a_list_give_the_same() -> None:
    model = make(det=SpotConfig())
    images = torch.stack([picture(), picture(), picture()])
    from_batch, from_list = model.predict(images), model.predict(list(images))
    assert len(from_batch) == 3
    for a, b in zip(from_batch, from_list, strict=True):
        assert_same(a, b, atol=0)
    for a, b in zip(model.predict(images), from_batch, strict=True):
        assert_same(a, b, atol=0)


def test_images_of_any_size_come_back_in_their_own_pixels() -> None:
    model = make(det=SpotConfig())
    sizes = [(50, 80), (300, 40), (64, 96), (1, 7), (640, 960)]
    results = model.predict([picture(*size) for size in sizes])
    for (height, width), result in zip(sizes, results, strict=True):
        assert (result.height, result.width, len(result)) == (height, width, 4)
        limit = torch.tensor([width, height, width, height])
        assert bool(((result.boxes >= 0) & (result.boxes <= limit)).all())
    whole = model(torch.stack([model.letterbox.apply(picture(64, 96))]))["det"]
    assert whole.boxes.shape == (1, 1, 4, 4)


def test_a_box_is_where_the_model_saw_it() -> None:
    model, image = make(det=SpotConfig()), picture(32, 96)
    canvas = model.letterbox.apply(image)
    with torch.inference_mode():
        box = model(canvas[None])["det"].boxes[0, 0, 0]
    cx, cy, w, h = (box * torch.tensor([96.0, 64.0, 96.0, 64.0])).tolist()
    limit = torch.tensor([96, 32, 96, 32])
    expected = torch.tensor([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).clamp(min=0).minimum(limit)
    torch.testing.assert_close(model.predict([image])[0].boxes[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_results_do_not_depend_on_the_batch(batch_size: int) -> None:
    model = make(det=SpotConfig(), seg=SpotConfig(visibility="joint"))
    images = [picture(), picture(90, 30), picture(64, 96), picture(10, 10), picture(200, 300)]
    together = model.predict(images, batch_size=batch_size)
    for i, image in enumerate(images):
        assert_same(together[i], model.predict([image])[0], atol=1e-5)


def test_paths_give_what_their_pixels_give(tmp_path: Path) -> None:
    model, image = make(det=SpotConfig()), picture()
    file = tmp_path / "a.png"
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    by_path, by_text, by_pixels = model.predict([file, str(file), image])
    assert by_path.file_name == by_text.file_name == str(file)
    assert by_pixels.file_name == ""
    assert torch.equal(by_path.boxes, by_pixels.boxes)
    assert torch.equal(by_text.scores, by_pixels.scores)


def test_no_images_give_no_results() -> None:
    model = make(det=SpotConfig())
    assert model.predict([]) == []
    assert model.predict(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)) == []


def test_results_below_a_score_are_left_out() -> None:
    model, image = make(det=SpotConfig()), picture()
    scores = model.predict([image])[0].scores
    middle = float(scores.sort().values[1])
    assert model.predict([image], min_score=middle)[0].scores.tolist() == [
        s for s in scores.tolist() if s >= middle
    ]


def test_rows_are_those_of_each_task_in_turn() -> None:
    model = make(det=SpotConfig(queries=2), seg=SpotConfig(queries=3))
    assert model.predict([picture()], link=False)[0].tasks == ("det",) * 2 + ("seg",) * 3


def twins() -> MultiTaskViT:
    """Return a model of two tasks with the same weights, which find the same."""
    model = make(det=SpotConfig(), seg=SpotConfig())
    one, other = model.tasks["det"].state_dict(), model.tasks["seg"]
    other.load_state_dict({name.replace(".det.", ".seg."): value for name, value in one.items()})
    return model


def test_what_several_tasks_find_is_linked_unless_told_otherwise() -> None:
    model, image = twins(), picture()
    apart, linked = model.predict([image], link=False)[0], model.predict([image])[0]
    assert linked.tasks == ("det+seg",) * 4
    assert [one.score for one in linked.instances.links if one] == pytest.approx([1] * 4)
    for name in ("det", "seg"):
        found = apart.of(name).instances
        ranked = ImageResult(found[found.scores.argsort(descending=True)])
        assert_same(linked.of(name), ranked, atol=0)
    assert model.predict([image], min_link=1.0)[0].tasks == ("det+seg",) * 4
    least = float(apart.scores.max())
    assert model.predict([image], min_score=least)[0].tasks == ("det+seg",)


def test_tasks_that_speak_of_the_whole_image_are_not_linked() -> None:
    model = twins()
    type(model.task_list[1]).linkable = False
    assert model.predict([picture()])[0].tasks == ("det",) * 4 + ("seg",) * 4


def test_the_mode_of_the_model_is_restored() -> None:
    model = make(det=SpotConfig()).train()
    model.backbone.eval()
    trained = model.predict([picture()])
    assert model.training
    assert not model.backbone.training
    assert model.tasks.training
    assert not trained[0].boxes.is_inference()
    with pytest.raises(ShapeError):
        model.train().predict([torch.zeros(3, 8, 8)])
    assert model.backbone.training


def test_results_may_be_changed_in_place() -> None:
    result = make(det=SpotConfig()).predict([picture()])[0]
    result.boxes.mul_(2).requires_grad_()


def test_training_goes_on_after_a_prediction() -> None:
    model = make(det=SpotConfig()).train()
    model.predict([picture()])
    model(picture(64, 96)[None])["det"].boxes.sum().backward()


def test_without_tasks_nothing_is_found() -> None:
    result = make().predict([picture()])[0]
    assert (len(result), result.height, result.width) == (0, 50, 80)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (torch.zeros(3, 8, 8), "torch.float32 of shape (3, 8, 8)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), "torch.uint8 of shape (1, 8, 8)"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), "torch.uint8 of shape (8, 8, 3)"),
        (torch.zeros(3, 0, 8, dtype=torch.uint8), "torch.uint8 of shape (3, 0, 8)"),
    ],
)
def test_other_tensors_are_refused(image: Tensor, found: str) -> None:
    with pytest.raises(ShapeError) as error:
        make(det=SpotConfig()).predict([picture(), image])
    assert str(error.value) == f"predict: an image is {found}; give uint8, 3 x H x W, RGB, 0 to 255."


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        make(det=SpotConfig()).predict([tmp_path / "no.jpg"])
    assert str(error.value) == f"{tmp_path / 'no.jpg'}: no such image file; check the path."


def test_an_unsure_part_stays_with_a_sure_object() -> None:
    model, image = twins(), picture()
    sure = model.predict([image])[0].scores
    least = float(sure.sort().values[1])
    options = PredictOptions(min_score=least, part_score=0.0)
    (found,) = model.predict_stream([image], options=options)
    assert found.tasks == ("det+seg",) * 3
    assert bool((found.scores >= least).all())
    (apart,) = model.predict_stream([image], options=replace(options, link=False))
    assert apart.tasks == ("det",) * 3 + ("seg",) * 3
