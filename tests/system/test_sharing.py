"""Runs whose tasks own layers: from settings to a model that holds what it uses, and on from a stop."""

import json
import signal
from pathlib import Path

import pytest

import mtvit_core
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.distributed.stop_signals import STOPPED
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from support.training.resume_cases import OPTIONS, arguments, differences, records, run

TASKS = "det,seg,pose"
SETTINGS = {
    "model__backbone": "branched:vit_tiny_patch16_224",
    "model__options": "{"
    + ", ".join(f"{key} = {value}" for key, value in OPTIONS.items())
    + f', tasks = "{TASKS}"}}',
    "sharing__warmup": "0.2",
    "sharing__budget": "1.5",
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=3, seed=3, size=64)
    return folder


@pytest.mark.parametrize("estimator", ["straight-through", "gumbel"])
def test_a_run_learns_gates_and_goes_on_bit_for_bit(
    estimator: str, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**SETTINGS, "sharing__estimator": estimator}
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    first = run(*arguments(scenes, whole, TASKS, **given), "--steps", "10")
    assert first.exit_code == 0, first.output
    update = Trainer.update

    def stopped(trainer: Trainer, batches: object) -> object:
        if trainer.step == 5:  # among updates that learn gates
            signal.raise_signal(signal.SIGTERM)
        return update(trainer, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stopped)
        assert run(*arguments(scenes, out, TASKS, **given), "--steps", "10").exit_code == STOPPED
    again = run("--out", str(out), "--resume")
    assert again.exit_code == 0, again.output
    assert differences(whole, out) == []
    hold_model(whole, first.output)


def hold_model(out: Path, told: str) -> None:
    """The saved model is an ordinary one, within its budget, and gives the metrics of the run."""
    model = mtvit_core.load(out)
    backbone = model.backbone
    assert backbone.scores is None
    assert backbone.stored == sum(p.numel() for p in backbone.parameters()) <= 1.5 * backbone.plain_size
    last = [record for record in records(out) if record["kind"] == "train"][-1]
    assert last["stored"] == pytest.approx(backbone.stored / backbone.plain_size)
    assert last["sharing/budget"] == 0
    assert f"sharing: {backbone.stored / 1e6:.2f} M parameters" in told
    metrics = json.loads((out / "metrics.json").read_text())
    assert {name.split("/")[0] for name in metrics} >= {"det", "seg", "pose"}


def test_fixed_gates_train_as_well(scenes: Path, tmp_path: Path) -> None:
    options = SETTINGS["model__options"].replace("}", ', gates = "pose: 1.fc2"}')
    given = {"model__backbone": SETTINGS["model__backbone"], "model__options": options}
    done = run(*arguments(scenes, tmp_path / "out", TASKS, **given), "--steps", "2")
    assert done.exit_code == 0, done.output
    assert "2 passes answer det + seg | pose, with 3 blocks on the image where one pass runs 2" in done.output
    model = mtvit_core.load(tmp_path / "out")
    image = read_coco(scenes, "val").image(0).path
    assert len(model.predict([image])) == 1
