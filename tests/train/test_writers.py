"""TensorBoard with the real package, Weights & Biases by a stand-in; neither can stop a run."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtvit_core.errors import ConfigError
from mtvit_train.records import Records
from mtvit_train.records_config import RecordsConfig
from mtvit_train.writers import open_writers, require_packages


def opened(out: Path, told: list[str], **settings: bool):
    return open_writers(RecordsConfig(**settings), out, {"train": {"lr": 0.1}}, told.append)


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
    settings["settings"] = {"login_timeout": 60}  # nobody may be there to answer
    assert package.calls == [("init", settings), ("log", {"loss": 1.0}, 2), ("finish",)]
    assert told == []


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
    monkeypatch.setattr("mtvit_train.writers.find_spec", lambda name: None)
    require_packages(RecordsConfig())
    with pytest.raises(ConfigError) as caught:
        require_packages(RecordsConfig(**{package: True}))
    assert str(caught.value) == (
        f"config: records.{package} is true, but the package '{package}' is not installed; "
        f'pip install "mtvit-train[{package}]", or leave the setting out.'
    )
