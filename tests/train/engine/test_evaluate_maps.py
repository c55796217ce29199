"""Panoptic and semantic scores of runs and of ``mtvit evaluate``; scenes against themselves are perfect."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from mtvit_core.cli.main import main as mtvit
from mtvit_core.evaluation.maps.map_evaluator import true_segments
from mtvit_core.evaluation.maps.panoptic import PanopticEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.pixel_maps import CategoryMap, Segment
from mtvit_train.cli.main import main
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.scenes.writer import write_scenes
from support.tasks.panoptic_files import write_panoptic

MAPS = ("PQ", "SQ", "RQ", "PQ_things", "PQ_stuff", "mIoU", "pixel_accuracy")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes whose validation split has panoptic files."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=2, val=3, seed=3, size=64)
    write_panoptic(folder, "val")
    return folder


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step that gives every kind of result."""
    out = tmp_path_factory.mktemp("runs") / "first"
    settings = [
        "model.backbone=vit_tiny_patch16_224",
        "model.options={patch_size=16, embed_dim=24, depth=1, num_heads=2}",
        "model.image_size=[64, 64]",
        "train.batch_size=2",
        "train.threads=1",
        "tasks.seg.queries=6",
        'tasks.seg.results=["instances", "panoptic", "semantic"]',
        "tasks.seg.panoptic_score=0",
    ]
    sets = [part for setting in settings for part in ("--set", setting)]
    options = ["--plugins", "seg", "--data", str(scenes), "--out", str(out), "--steps", "1"]
    result = CliRunner().invoke(main, [*options, *sets])
    assert result.exit_code == 0, result.output
    assert "seg/PQ " in result.output
    return out


def evaluate(finished: Path, scenes: Path, *more: str) -> Result:
    return CliRunner().invoke(
        mtvit, ["evaluate", str(finished / "model.safetensors"), "--data", str(scenes), *more]
    )


def test_a_run_scores_what_its_settings_ask_for(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {"seg/AP", *(f"seg/{name}" for name in MAPS)} <= set(metrics)
    assert metrics["seg/PQ_stuff"] is None
    tables = [
        table["title"] for table in json.loads((finished / "details.json").read_text())["seg"]["tables"]
    ]
    assert tables[1:] == ["Panoptic quality", "Panoptic quality by class", "Semantic scores by class"]


def test_the_report_shows_maps_beside_the_truth(finished: Path) -> None:
    shown = json.loads((finished / "pictures" / "predictions.json").read_text())
    assert len(shown) == 3
    for one in shown:
        assert one["caption"].endswith(": truth, true segments, objects found, seg-panoptic, seg-semantic")
        assert len(one["files"]) == 5
        sizes = set()
        for file in one["files"]:
            with Image.open(finished / "pictures" / file) as picture:
                sizes.add(picture.size)
        assert len(sizes) == 1
    with Image.open(finished / "predictions.png") as sheet:
        assert sheet.width > sheet.height


def test_evaluate_scores_other_results_by_set(finished: Path, scenes: Path, tmp_path: Path) -> None:
    expected = json.loads((finished / "metrics.json").read_text())
    for kind, names in (("panoptic", MAPS[:5]), ("semantic", MAPS[5:])):
        out = tmp_path / f"{kind}.json"
        result = evaluate(finished, scenes, "--set", f'seg.results=["{kind}"]', "--out", str(out))
        assert result.exit_code == 0, result.output
        metrics = json.loads(out.read_text())
        assert metrics == {f"seg/{name}": expected[f"seg/{name}"] for name in names}
        assert names[0] in result.output


def test_what_cannot_be_set_is_refused_in_one_line(finished: Path, scenes: Path) -> None:
    model = finished / "model.safetensors"
    for setting, line in (
        ("seg.mask_width=7", f"error: checkpoint {model}: its weights do not fit the model: "),
        ("det.nms=1", f"error: checkpoint {model}: it has no task 'det'; it holds seg."),
        ("seg=1", f"error: checkpoint {model}: settings of task 'seg' are 1, not a table; name one of them"),
        ("seg.result=1", f"error: checkpoint {model}: config: tasks.seg.result is not a setting. Did you"),
    ):
        result = evaluate(finished, scenes, "--set", setting)
        assert result.exit_code == 2
        assert result.stderr.startswith(line)
        assert len(result.stderr.splitlines()) == 1


def test_damaged_segments_stop_before_the_first_image(finished: Path, scenes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    write_scenes(folder, train=1, val=1, seed=3, size=64)
    path = write_panoptic(folder, "val")
    next((path.parent / "panoptic_val2017").iterdir()).unlink()
    result = evaluate(finished, folder)
    assert result.exit_code == 2
    assert "no such file, though panoptic_val2017.json names it" in result.stderr
    assert evaluate(finished, folder, "--set", 'seg.results=["instances"]').exit_code == 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_scenes_against_themselves_are_perfect(scenes: Path, split: str) -> None:
    packed = read_coco(scenes, "train" if split == "train" else "val")
    evaluator = PanopticEvaluator("seg-panoptic", packed.categories)
    for index in range(len(packed)):
        truth, meta = packed.original(index, {"masks", "segments"}), packed.meta(index)
        assert (truth.segments is None) == (split == "train")
        found = true_segments(truth, len(packed.categories))
        assert found is not None
        assert truth.masks is not None
        assert len(found.labels) == len(truth)
        assert torch.equal(found.ids > 0, truth.masks.any(0))
        labels = enumerate(found.labels.tolist(), start=1)
        segments = [Segment(number, label, 1.0, 1, is_stuff=False) for number, label in labels]
        values = CategoryMap.panoptic(found.ids.clamp(min=0), segments, packed.categories)
        empty = ImageResult.empty(meta, packed.categories)
        evaluator.update([ImageResult(empty.instances, {"seg-panoptic": values})], [truth], [meta])
    scores = evaluator.compute()
    assert [scores[name] for name in ("PQ", "SQ", "RQ", "PQ_things")] == [1.0] * 4
