"""``mtvit-train convert-data``: whatever the trainer reads, written as COCO, says the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mtvit_train.build.data import read_data
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig
from mtvit_train.data.packed import PackedAnnotations
from support.data_sets.layouts import LAYOUTS
from support.data_sets.objects import CLASSES


def convert(source: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["convert-data", str(source), "--out", str(out), *options])


def splits(root: Path, tasks: str) -> tuple[PackedAnnotations, PackedAnnotations]:
    data = read_data(RunConfig(plugins=tuple(tasks.split(",")), data=str(root)), root)
    return data.train, data.val


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_written_says_what_was_read(name: str, tmp_path: Path) -> None:
    write, tasks, _ = LAYOUTS[name]
    source, out = tmp_path / "data", tmp_path / "coco"
    source.mkdir()
    write(source)
    result = convert(source, out)
    assert result.exit_code == 0, result.output
    for mine, other in zip(splits(source, tasks), splits(out, tasks), strict=True):
        assert [c.name for c in mine.categories] == [c.name for c in other.categories]
        assert [c.keypoints for c in mine.categories] == [c.keypoints for c in other.categories]
        for field in ("labels", "crowd", "keypoint_rows", "has", "first", "mask_bytes", "file_names"):
            assert np.array_equal(getattr(mine, field), getattr(other, field)), field
        for field in ("boxes", "areas", "keypoints"):
            assert np.allclose(getattr(mine, field), getattr(other, field), atol=1e-4), field
        known = [
            [None if a is None else a.tolist() for a in map(p.annotated, range(len(p)))]
            for p in (mine, other)
        ]
        assert known[0] == known[1]


def test_pycocotools_reads_it_and_ids_count_from_1(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    LAYOUTS["ultralytics-segment"][0](source)
    assert convert(source, tmp_path / "coco").exit_code == 0
    truth = COCO(tmp_path / "coco" / "annotations" / "instances_val.json")
    assert [(c["id"], c["name"]) for c in truth.loadCats(truth.getCatIds())] == [*enumerate(CLASSES, start=1)]
    assert coco_mask.area(truth.annToRLE(truth.loadAnns(1)[0])) == 20 * 16
    assert isinstance(truth.loadAnns(1)[0]["segmentation"], list)  # as it was drawn


def test_nothing_is_written_over_or_left_half(tmp_path: Path) -> None:
    source, out = tmp_path / "data", tmp_path / "coco"
    source.mkdir()
    LAYOUTS["voc"][0](source)
    out.mkdir()
    assert f"error: out {out}: is there already; give a new folder." in convert(source, out).output
    (source / "JPEGImages" / "0_0.png").write_bytes(b"")
    result = convert(source, tmp_path / "other")
    assert result.exit_code == 2
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]


def test_images_can_be_left_out(tmp_path: Path) -> None:
    source, out = tmp_path / "data", tmp_path / "coco"
    source.mkdir()
    LAYOUTS["voc"][0](source)
    assert convert(source, out, "--no-images").exit_code == 0
    assert [path.name for path in out.iterdir()] == ["annotations"]
    assert len(json.loads((out / "annotations" / "instances_train.json").read_text())["images"]) == 3
