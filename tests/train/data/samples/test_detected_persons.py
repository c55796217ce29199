"""Evaluation of top-down tasks on people that a detector found instead of annotated ones."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.cli.main import main as mtvit
from mtvit_core.structures.canvases.crops import crop_person, person_meta
from mtvit_core.structures.framing import Letterbox
from mtvit_core.structures.image_files import read_image
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.samples.detected_persons import DetectedPersons
from mtvit_train.scenes.scene import PERSON_ID
from mtvit_train.scenes.writer import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=1, val=6, seed=3, size=96)
    return folder


@pytest.fixture(scope="module")
def model(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    categories = read_coco(scenes, "val").categories
    backbone = mtvit_core.build("vit_tiny_patch16_224", canvas=(64, 48)).backbone
    made = mtvit_core.build(backbone, {"pose": {"variant": "vitpose"}}, categories, person_canvas=(64, 48))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    mtvit_core.save(made, path)
    return path


def annotated(scenes: Path) -> list[dict[str, object]]:
    """The annotated people as detections, clipped as the crops of training are."""
    found = json.loads((scenes / "annotations" / "person_keypoints_val2017.json").read_text())
    sizes = {image["id"]: (image["width"], image["height"]) for image in found["images"]}
    entries = []
    for person in found["annotations"]:
        if person["iscrowd"] or not person["num_keypoints"]:
            continue
        x, y, w, h = person["bbox"]
        width, height = sizes[person["image_id"]]
        x, y = max(0, x), max(0, y)
        box = [x, y, min(width - 1, x + w - 1) - x, min(height - 1, y + h - 1) - y]
        entries.append({"image_id": person["image_id"], "category_id": PERSON_ID, "bbox": box, "score": 1.0})
    return entries


def evaluate(model: Path, scenes: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(
        mtvit, ["evaluate", str(model), "--data", str(scenes), "--out", str(out), *more]
    )


def test_detected_people_are_cropped_with_their_scores(scenes: Path) -> None:
    packed = read_coco(scenes, "val")
    boxes = [torch.zeros(0, 5)] * len(packed)
    boxes[2] = torch.tensor([[10.0, 5.0, 40.0, 60.0, 0.25], [0.0, 0.0, 20.0, 30.0, 0.5]])
    people = DetectedPersons(packed, Letterbox(64, 48), boxes, crop="centred")
    assert len(people) == 2
    sample, record = people[0, 0], packed.image(2)
    meta = person_meta((10.0, 5.0, 40.0, 60.0), 96, 96, (64, 48), rule="centred")
    assert sample.meta.to_original == meta.to_original
    assert (sample.meta.image_id, sample.meta.box_score) == (record.image_id, 0.25)
    assert torch.equal(sample.image, crop_person(read_image(record.path), meta, (64, 48)))
    assert not sample.annotations.has


def test_detections_equal_to_the_annotations_give_the_same_metrics(scenes: Path, model: Path, tmp_path: Path):
    boxes = tmp_path / "detections.json"
    boxes.write_text(json.dumps(annotated(scenes)))
    plain = evaluate(model, scenes, tmp_path / "plain.json")
    given = evaluate(model, scenes, tmp_path / "given.json", "--boxes", str(boxes))
    assert (plain.exit_code, given.exit_code) == (0, 0), given.output
    expected, found = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("plain", "given"))
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert "pose/AP" in found


def test_people_in_images_without_detections_count_as_missed(scenes: Path, model: Path) -> None:
    from mtvit_train.build.splits import make_split, with_boxes
    from mtvit_train.config.run import read_run
    from mtvit_train.engine.evaluate import evaluate_tasks

    loaded, packed = mtvit_core.load(model), read_coco(scenes, "val")
    split = make_split(read_run(None, {}, ()), loaded, packed, training=False)
    one = annotated(scenes)[:1]
    boxes = model.parent / "one.json"
    boxes.write_text(json.dumps(one))
    evaluator = evaluate_tasks(loaded, with_boxes(split, loaded, boxes), batch_size=4)["pose"]
    seen = json.dumps(evaluator.state(), default=str)
    assert all(f"{packed.image(i).image_id}" in seen for i in range(len(packed)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "there are no boxes for"),
        (
            [{"image_id": 1, "category_id": 99, "bbox": [0, 0, 9, 9]}],
            "the boxes show no people in any of its 6 ",
        ),
    ],
)
def test_files_that_show_nobody_are_refused(
    scenes: Path, model: Path, tmp_path: Path, entries: list[dict[str, object]], message: str
) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(entries))
    result = evaluate(model, scenes, tmp_path / "out.json", "--boxes", str(boxes))
    assert result.exit_code == 2
    assert message in result.output


def test_boxes_are_refused_where_no_task_sees_persons(scenes: Path, tmp_path: Path) -> None:
    categories = read_coco(scenes, "val").categories
    made = mtvit_core.build("vit_tiny_patch16_224", {"det": {"queries": 3}}, categories, canvas=(64, 64))
    mtvit_core.save(made, tmp_path / "det.safetensors")
    result = evaluate(tmp_path / "det.safetensors", scenes, tmp_path / "out.json", "--boxes", "x.json")
    assert result.exit_code == 2
    assert (
        "boxes x.json: no task of the model looks at one person at a time; leave --boxes out."
        in result.output
    )
