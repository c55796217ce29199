"""Results in supervision's forms: its own annotators draw them, and without it there is one line."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import encode_rle

HAND = KeypointSchema(("palm", "thumb"))
CATEGORIES = Categories((Category(70, "cup"), Category(3, "hand", HAND)))
pytestmark = pytest.mark.filterwarnings("ignore:OpenCV:UserWarning")


def result() -> ImageResult:
    """A cup with a mask, and a hand with keypoints."""
    square = np.zeros((20, 30), bool)
    square[4:9, 6:16] = True
    keypoints = torch.full((2, 2, 3), torch.nan)
    keypoints[1] = torch.tensor([[11.0, 12.0, 0.5], [13.0, 14.0, 0.25]])
    boxes = torch.tensor([[6.0, 4.0, 16.0, 9.0], [10.0, 10.0, 20.0, 19.0]])
    return ImageResult(
        Instances(
            20, 30, CATEGORIES, torch.tensor([0, 1]), torch.tensor([0.75, 0.5]), boxes, ("seg", "pose"),
            (encode_rle(square), None), keypoints,
        )
    )  # fmt: skip


def test_detections_tell_what_the_result_tells() -> None:
    pytest.importorskip("supervision")
    found = result().to_supervision()
    assert len(found) == 2
    assert found.xyxy.tolist() == result().boxes.tolist()
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [70, 3]
    assert found.data["class_name"].tolist() == ["cup", "hand"]
    assert found.data["task"].tolist() == ["seg", "pose"]
    assert found.mask.sum((1, 2)).tolist() == [50, 0]
    assert len(found[found.confidence > 0.6]) == 1


def test_key_points_are_those_of_objects_that_have_them() -> None:
    pytest.importorskip("supervision")
    found = result().to_supervision_keypoints()
    assert found.xy.tolist() == [[[11.0, 12.0], [13.0, 14.0]]]
    assert found.keypoint_confidence.tolist() == [[0.5, 0.25]]
    assert found.class_id.tolist() == [3]


def test_its_annotators_draw_them() -> None:
    supervision = pytest.importorskip("supervision")
    scene = np.zeros((20, 30, 3), np.uint8)
    for annotator in (supervision.BoxAnnotator(), supervision.MaskAnnotator()):
        assert annotator.annotate(scene.copy(), result().to_supervision()).any()
    drawn = supervision.VertexAnnotator().annotate(scene.copy(), result().to_supervision_keypoints())
    assert drawn.any()


def test_nothing_found_is_nothing_there() -> None:
    pytest.importorskip("supervision")
    empty = ImageResult(Instances.empty(20, 30, CATEGORIES))
    assert len(empty.to_supervision()) == 0
    assert len(empty.to_supervision_keypoints()) == 0


def test_without_supervision_there_is_one_line(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ConfigError) as error:
        result().to_supervision()
    assert str(error.value) == (
        "to_supervision: the package supervision is not installed; pip install mtvit-core[supervision]."
    )
