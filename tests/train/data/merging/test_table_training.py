"""A run on several data sets: each task learns from what is labelled for it, and is told what it sees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from mtvit_core.structures.batch import Batch
from mtvit_train.build.data import read_data
from mtvit_train.build.label_counts import exposures
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.samples.images import collate
from mtvit_train.scenes.writer import write_scenes
from support.training.run_cases import SMALL_FILE


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes from one data set, masks from another, keypoints of another skeleton from a third."""
    root = tmp_path_factory.mktemp("three")
    for place, name in enumerate(("boxes", "masks", "keypoints")):
        write_scenes(root / name, train=(6, 4, 2)[place], val=2, seed=place + 5, size=64)
    for split in ("train", "val"):
        path = root / "keypoints" / "annotations" / f"person_keypoints_{split}2017.json"
        document = json.loads(path.read_text())
        (category,) = document["categories"]
        category["keypoints"] = category["keypoints"][5:]
        category["skeleton"], category["sigmas"] = [], [0.1] * 12
        for annotation in document["annotations"]:
            annotation["keypoints"] = annotation["keypoints"][15:]
        path.write_text(json.dumps(document))
    config = "".join(
        f'[[data]]\npath = "{root / name}"\nlabels = ["{name}"]\nweight = {weight}\n'
        for name, weight in (("boxes", 1), ("masks", 2), ("keypoints", 1))
    )
    keypoints_only = '[data.coco]\ninstances = ""\n'
    (root / "run.toml").write_text(SMALL_FILE.replace("\n[model]", f"\n{config}{keypoints_only}[model]", 1))
    return root


def split_of(three: Path) -> tuple[RunConfig, Any, DataSplit]:
    config = read_run(str(three / "run.toml"), {"steps": 3}, ())
    data = read_data(config, three)
    model = make_model(config, data.train.categories)
    return config, model, make_split(config, model, data.train, training=True)


def test_absent_labels_give_zero_loss_and_zero_gradient(three: Path) -> None:
    _, model, split = split_of(three)
    dataset = split.views["image"]
    for member, own in zip(split.packed.members, ("det", "seg", "pose"), strict=True):
        batch: Batch = collate([dataset[0, member.first + i] for i in range(2)])
        losses = model.losses(batch)
        model.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for task in ("det", "seg", "pose"):
            total = sum(value.item() for name, value in losses.items() if name.startswith(task))
            gradients = [
                p.grad.abs().max() for p in model.modules_of(task).parameters() if p.grad is not None
            ]
            assert (total > 0, bool(max(gradients) > 0)) == (task == own, task == own), (member.name, task)


def test_what_each_task_sees_is_counted(three: Path) -> None:
    config, model, split = split_of(three)
    seen = {(one.task, one.data): one for one in exposures(config, model, split)}
    assert len(seen) == 9
    assert [seen["det", name].labelled for name in ("boxes", "masks", "keypoints")] == [6, 0, 0]
    assert [seen["seg", name].labelled for name in ("boxes", "masks", "keypoints")] == [0, 4, 0]
    assert [seen["pose", name].labelled for name in ("boxes", "masks", "keypoints")] == [0, 0, 2]
    sampler_keys = [split.mixtures["image"].key(position, 0) for position in range(12)]
    of_masks = sum(6 <= index < 10 for _, index in sampler_keys)
    assert seen["seg", "masks"].samples == of_masks == 6
    assert seen["seg", "masks"].share == 0.5
    assert seen["det", "boxes"].objects == split.packed.first[6]


def test_a_run_on_three_data_sets(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = train(three, "--out", str(out), "--steps", "2")
    assert result.exit_code == 0, result.output
    assert "data set 'keypoints': of the keypoints of 'person', left out" not in result.output
    record = json.loads((out / "data.json").read_text())
    assert len(record["seen"]) == 9
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"det/AP", "seg/AP", "pose/AP"} <= metrics.keys()
    assert all(metrics[f"{task}/AP"] is not None for task in ("det", "seg"))


def train(three: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(three / "run.toml"), *arguments])


def test_a_task_for_which_nothing_is_labelled_is_refused(three: Path, tmp_path: Path) -> None:
    text = (three / "run.toml").read_text().replace('labels = ["masks"]', 'labels = ["boxes"]')
    (tmp_path / "run.toml").write_text(text)
    result = CliRunner().invoke(
        main, ["--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "out")]
    )
    assert result.output == (
        "error: task 'seg': no training image is labelled for it; it needs masks. Add such data, or leave "
        "the task out of plugins.\n"
    )


def test_doctor_checks_every_table(three: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--config", str(three / "run.toml"), "--json"])
    found = json.loads(result.output)
    assert list(found) == ["boxes", "masks", "keypoints"]
    tasks = {name: one["splits"]["train"]["tasks"] for name, one in found.items()}
    assert tasks["boxes"]["seg"]["images"] == 0
    assert tasks["masks"]["seg"]["images"] == 4
    assert np.array([one["verdict"] != "faults" for one in found.values()]).all()
