"""TensorBoard with the real package, Weights & Biases by a stand-in; neither can stop a run."""

import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtvit_core.errors import ConfigError
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.recording.records import Records
from mtvit_train.recording.trackers import open_writers, require_packages
from mtvit_train.state.run_files import WANDB_ID


def opened(out: Path, told: list[str], step: int = 0, **settings: bool):
    return open_writers(RecordsConfig(**settings), out, {"train": {"lr": 0.1}}, told.append, step)


def test_none_is_asked_for_by_default(tmp_path: Path) -> None:
    assert opened(tmp_path, []) == []


def test_tensorboard_reads_what_was_recorded(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason='needs the extra: pip install "mtvit-train[tensorboard]"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told: list[str] = []
    records = Records(tmp_path, opened(tmp_path, told, tensorboard=True))
    records.add("train", 2, {"det/l1": 0.5, "lr": 0.25})
    records.add("train", 4, {"det/l1": 0.25, "lr": 0.125})
    records.add("eval", 4, {"det/AP": 0.75, "det/APl": math.nan})
    records.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["det/AP", "det/l1", "lr"]
    assert [(event.step, event.value) for event in events.Scalars("det/l1")] == [(2, 0.5), (4, 0.25)]
    assert told == []


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path: Path) -> None:
    """A run is killed after step 6, whose newest checkpoint is of step 4, and goes on from there."""
    pytest.importorskip("tensorboard", reason='needs the extra: pip install "mtvit-train[tensorboard]"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def points() -> list[tuple[int, float]]:
        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars("loss")]

    told: list[str] = []
    killed = Records(tmp_path, opened(tmp_path, told, tensorboard=True))
    for step in (2, 4):
        killed.add("train", step, {"loss": step / 8})
    killed.flush()
    assert points() == [(2, 0.25), (4, 0.5)]  # on disk, though the file is still open
    killed.add("train", 6, {"loss": 9.0})
    killed.close()
    assert points() == [(2, 0.25), (4, 0.5), (6, 9.0)]
    resumed = Records(tmp_path, opened(tmp_path, told, step=4, tensorboard=True))
    for step in (6, 8):
        resumed.add("train", step, {"loss": step / 8})
    resumed.close()
    assert points() == [(2, 0.25), (4, 0.5), (6, 0.75), (8, 1.0)]
    assert told == []


class Fake:
    """The part of the package ``wandb`` that is used."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at, self.calls = fails_at, []

    def _call(self, name: str, *values: object) -> None:
        self.calls.append((name, *values))
        if name == self.fails_at:
            raise ConnectionError("no route\nto host")

    def init(self, **settings: object) -> SimpleNamespace:
        self._call("init", settings)
        return SimpleNamespace(
            log=lambda values, step: self._call("log", values, step), finish=lambda: self._call("finish")
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    def install(fails_at: str = "") -> Fake:
        made = Fake(fails_at)
        monkeypatch.setitem(sys.modules, "wandb", made)
        return made

    return install


def test_weights_and_biases_is_told_the_same(fake, tmp_path: Path) -> None:
    package, told = fake(), []
    out = tmp_path / "first"
    out.mkdir()
    records = Records(out, opened(out, told, wandb=True))
    records.add("train", 2, {"loss": 1.0, "det/AP": math.nan})
    records.close()
    settings = {"project": "mtvit", "name": "first", "dir": str(out), "config": {"train": {"lr": 0.1}}}
    settings |= {"id": (out / WANDB_ID).read_text(), "resume": "allow"}
    settings["settings"] = {"login_timeout": 60}  # nobody may be there to answer
    assert package.calls == [("init", settings), ("log", {"loss": 1.0}, 2), ("finish",)]
    assert told == []


def test_a_resumed_run_goes_on_with_its_own_run_there(fake, tmp_path: Path) -> None:
    package = fake()
    for out in ("first", "first", "second"):
        (tmp_path / out).mkdir(exist_ok=True)
        for writer in opened(tmp_path / out, [], wandb=True):
            writer.close()
    ids = [values[0]["id"] for name, *values in package.calls if name == "init"]
    assert ids[0] == ids[1] != ids[2]
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)


@pytest.mark.parametrize("fails_at", ["init", "log", "finish"])
def test_a_writer_that_fails_is_told_once_and_switched_off(fake, fails_at: str, tmp_path: Path) -> None:
    package, told = fake(fails_at), []
    records = Records(tmp_path, opened(tmp_path, told, wandb=True))
    for step in (2, 4):
        records.add("train", step, {"loss": 1.0})
    records.close()
    assert told == [
        "records.wandb: switched off, since it failed: ConnectionError: no route to host. The run goes on."
    ]
    names = [name for name, *_ in package.calls]
    assert (
        names
        == {"init": ["init"], "log": ["init", "log"], "finish": ["init", "log", "log", "finish"]}[fails_at]
    )
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_package_that_is_missing_is_refused_at_the_start(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtvit_train.recording.trackers.find_spec", lambda name: None)
    require_packages(RecordsConfig())
    with pytest.raises(ConfigError) as caught:
        require_packages(RecordsConfig(**{package: True}))
    assert str(caught.value) == (
        f"config: records.{package} is true, but the package '{package}' is not installed; "
        f'pip install "mtvit-train[{package}]", or leave the setting out.'
    )
