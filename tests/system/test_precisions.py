"""Every variant predicts under autocast, in half and in double precision, and refuses what is not finite."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core import COCO_PERSON, Categories, Category, DivergedError, MultiTaskViT

CATEGORIES = Categories((Category(4, "person", COCO_PERSON), Category(9, "cup")))
VARIANTS: dict[str, tuple[Mapping[str, Any], str]] = {
    "det": ({"det": {}}, "task"),
    "yolos": ({"det": {"variant": "yolos", "queries": 10}}, "task"),
    "seg": ({"seg": {}}, "task"),
    "eomt": ({"seg": {"variant": "eomt", "queries": 10}}, "task"),
    "onepass": ({"pose": {}}, "task"),
    "panoptic": (
        {"seg": {"variant": "eomt", "queries": 10, "results": ["instances", "panoptic", "semantic"]}},
        "task",
    ),
    "vitpose": ({"pose": {"variant": "vitpose-simple"}}, "task"),
    "classic": ({"pose": {"variant": "vitpose", "codec": "msra", "flip_test": True}}, "task"),
    "tokenpose": ({"pose": {"variant": "tokenpose"}}, "task"),
    "instance": ({"det": {}, "seg": {}, "pose": {}}, "instance"),
}
TYPES = [torch.bfloat16, torch.float16, torch.float64]


def make(name: str) -> MultiTaskViT:
    """Return a small model of a variant."""
    tasks, queries = VARIANTS[name]
    backbone = mtvit_core.create_backbone("vit_tiny_patch16_224", (64, 64), options={"depth": 3})
    return mtvit_core.build(backbone, tasks, CATEGORIES, person_canvas=(64, 48), queries=queries).eval()


def image() -> Tensor:
    """Return an image of noise."""
    return torch.randint(0, 256, (1, 3, 48, 60), dtype=torch.uint8)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_precision_says_about_the_same(name: str) -> None:
    model, shown = make(name), image()
    (wanted,) = model.predict(shown, link=False)
    assert len(wanted)
    found = {}
    for dtype in TYPES[:2]:
        with torch.autocast("cpu", dtype):
            (found[f"autocast {dtype}"],) = model.predict(shown, link=False)
    for dtype in TYPES:
        (found[str(dtype)],) = make(name).to(dtype).predict(shown, link=False)
    for kind, result in found.items():
        assert result.scores.dtype == result.boxes.dtype == torch.float32, kind
    torch.manual_seed(0)
    model = model.double()
    (exact,) = model.predict(shown, link=False)
    assert float((exact.scores.max() - wanted.scores.max()).abs()) < 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        (rough,) = model.float().predict(shown, link=False)
    assert float((rough.scores.max() - wanted.scores.max()).abs()) < 0.03


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_not_finite_is_refused_before_any_threshold(name: str, bad: float) -> None:
    model = make(name)
    task = next(iter(VARIANTS[name][0]))
    with torch.no_grad():
        for weight in model.modules_of(task).head.parameters():
            weight.fill_(bad)
    with pytest.raises(DivergedError, match=rf"(task '{task}'|weight 'tasks.{task}.).*not finite"):
        model.predict(image(), min_score=0.5)


def test_one_wild_weight_of_the_backbone_is_enough() -> None:
    model = make("yolos")
    with torch.no_grad():
        next(iter(model.backbone.parameters())).view(-1)[0] = torch.nan
    with pytest.raises(DivergedError) as error:
        model.predict(image(), min_score=0.9)
    assert str(error.value) == (
        "task 'det': its logits are not finite, so the model has diverged, is damaged, or overflows in half "
        "precision; take an earlier checkpoint, or predict in float32."
    )
