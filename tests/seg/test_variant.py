"""What a segmentation task says of an image, and how it is scored, follows its settings."""

from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core.config import validate
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.evaluation.maps.panoptic import PanopticEvaluator
from mtvit_core.evaluation.maps.semantic import SemanticEvaluator
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.pixel_maps import CategoryMap
from mtvit_seg.config import SegConfig
from mtvit_seg.decoding.semantic import decode_semantic
from support.tasks.seg_cases import CATEGORIES, learned, metas, picked, task, tiny_model

EVERY = ("instances", "panoptic", "semantic")


def same_rows(one: Instances, two: Instances) -> bool:
    return torch.equal(one.scores, two.scores) and one.rles == two.rles


@pytest.mark.parametrize("variant", ["eomt", "picked"])
def test_results_are_those_that_are_asked_for(variant: str) -> None:
    predictions = (learned if variant == "eomt" else picked)(images=2)
    at, settings = (
        metas((50, 60), (100, 150)),
        {"variant": variant, "panoptic_score": 0.1, "panoptic_overlap": 0},
    )
    plain = task(**settings).decode(predictions, at)
    every = task(**settings, results=EVERY).decode(predictions, at)
    maps = task(**settings, results=["semantic", "panoptic"]).decode(predictions, at)
    for one, two, three, meta in zip(plain, every, maps, at, strict=True):
        assert one.maps == {}
        assert len(one) > 0
        assert same_rows(one.instances, two.instances)
        assert set(two.maps) == set(three.maps) == {"seg-panoptic", "seg-semantic"}
        assert len(three) == 0
        assert (three.height, three.width, three.image_id) == (meta.height, meta.width, meta.image_id)
        segments = two.maps["seg-panoptic"]
        assert isinstance(segments, CategoryMap)
        assert segments.segments
    for found, labels in zip(maps, decode_semantic(predictions, at), strict=True):
        values = found.maps["seg-semantic"]
        assert isinstance(values, CategoryMap)
        assert torch.equal(values.category_ids, torch.tensor([c.id for c in CATEGORIES])[labels])
        assert values.segment_ids is None


def test_evaluators_are_those_of_the_results() -> None:
    kinds = {"instances": CocoEvaluator, "panoptic": PanopticEvaluator, "semantic": SemanticEvaluator}
    for name, kind in kinds.items():
        assert isinstance(task(results=[name]).evaluator(), kind)
    scores = task(results=EVERY).evaluator().compute()
    assert {"AP", "PQ", "SQ", "RQ", "PQ_things", "PQ_stuff", "mIoU", "pixel_accuracy"} <= set(scores)
    assert [task(results=[name]).finds_objects for name in kinds] == [True, False, False]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (
            ["panoptic", "semantic", "panoptic"],
            "config: tasks.seg.results: 'panoptic' is listed more than once; name each kind of result once.",
        ),
        (
            [],
            "config: tasks.seg.results is []: tuple should have at least 1 item after validation, not 0.",
        ),
        (
            ["boxes"],
            "config: tasks.seg.results.0 is 'boxes': input should be 'instances', 'panoptic' or 'semantic'. "
            "(1 more)",
        ),
    ],
)
def test_results_that_are_none_are_refused(results: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SegConfig, {"results": results}, "tasks.seg")
    assert str(caught.value) == message


def test_a_model_on_disk_says_what_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    mtvit_core.save(tiny_model(variant="eomt"), path)
    image = torch.randint(0, 256, (3, 50, 60), dtype=torch.uint8)
    (plain,) = mtvit_core.load(path).predict([image])
    loaded = mtvit_core.load(path, settings={"seg": {"results": ["panoptic"], "panoptic_score": 0.0}})
    (maps,) = loaded.predict([image])
    assert (set(plain.maps), set(maps.maps), len(maps)) == (set(), {"seg-panoptic"}, 0)
    assert loaded.task_list[0].config.queries == 10  # other settings stay
    with pytest.raises(CheckpointError) as caught:
        mtvit_core.load(path, settings={"seg": {"queries": 11}})
    assert str(caught.value).startswith(f"checkpoint {path}: its weights do not fit the model: ")
    with pytest.raises(ConfigError) as refused:
        mtvit_core.load(path, settings={"seg": {"result": ["panoptic"]}})
    assert str(refused.value).startswith(
        f"checkpoint {path}: config: tasks.seg.result is not a setting. Did you mean 'results'?"
    )
