"""What dense tasks say on the canvas, as exported models tell it."""

import pytest
import torch

from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.on_canvas import CanvasMap
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta

CLASSES = ["floor", "wall", "door"]
SETTINGS = {"semantic": {"classes": CLASSES}, "depth": {"inverse": True}, "normals": {}, "edges": {}}


@pytest.fixture
def model() -> MultiTaskViT:
    torch.manual_seed(0)
    options = {"depth": 2, "embed_dim": 16, "num_heads": 2, "patch_size": 16}
    backbone = create_backbone("vit_tiny_patch16_224", (32, 48), options=options)
    return build(backbone, SETTINGS, Categories((Category(1, "a"),))).eval()


def test_maps_are_in_forms_that_any_program_reads(model: MultiTaskViT) -> None:
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    with evaluating(model):
        told = DecodedModel(model, "image").said(images)
    assert {name: (type(one), one.channels) for name, one in told.items()} == {
        "semantic": (CanvasMap, ("floor", "wall", "door")),
        "depth": (CanvasMap, ("depth",)),
        "normals": (CanvasMap, ("x", "y", "z")),
        "edges": (CanvasMap, ("edge",)),
    }
    assert {tuple(one.values.shape[2:]) for one in told.values()} == {(32, 48)}
    torch.testing.assert_close(told["normals"].values.norm(dim=1), torch.ones(2, 32, 48))
    assert 0 < told["edges"].values.min() <= told["edges"].values.max() < 1
    with evaluating(model):
        inverse = model(images)["depth"].on_canvas()
    torch.testing.assert_close(told["depth"].values, 1 / inverse)


def test_a_canvas_comes_back_to_what_decode_says(model: MultiTaskViT) -> None:
    image = torch.randint(0, 256, (1, 3, 32, 48), dtype=torch.uint8)
    at = ImageMeta(20, 60, (16, 48), (1.25, 0.0, 0.0, 0.0, 1.25, 0.0))
    with evaluating(model):
        predictions = model(image)
        for task in model.task_list:
            decoded = task.decode(predictions[task.name], [at])[0].maps[task.name]
            again = task.from_canvas(task.on_canvas(predictions[task.name]), [at])[0].maps[task.name]
            values = "category_ids" if task.name == "semantic" else "values"
            torch.testing.assert_close(getattr(decoded, values), getattr(again, values))
            assert getattr(decoded, values).shape[-2:] == (20, 60)
