"""The folder of a run: what it refuses, what comes back from it, and what a failure half-way leaves."""

import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.details import Details
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.engine.evaluate import Evaluation
from mtvit_train.recording import records
from mtvit_train.runs import folder as runs_folder
from mtvit_train.runs.folder import RunFolder, read_settings
from mtvit_train.state import run_files
from mtvit_train.state.atomic_folder import DiskError


def made(path: Path) -> RunFolder:
    return RunFolder(RunConfig(out=str(path)), lambda line: None, Ranks())


def test_a_settled_folder_holds_the_settings(tmp_path: Path) -> None:
    config = RunConfig(out=str(tmp_path / "a" / "run"), plugins=("det",))
    folder = made(tmp_path / "a" / "run")
    folder.check_free()
    folder.settle(config)
    assert read_settings(folder.path, RunConfig) == config
    assert [path.name for path in folder.path.iterdir()] == [run_files.SETTINGS]
    with pytest.raises(ConfigError, match="not empty; runs are never overwritten"):
        folder.check_free()


def test_a_file_is_no_free_folder(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="not empty"):
        made(tmp_path / "run").check_free()


def test_a_run_ends_once(tmp_path: Path) -> None:
    folder = made(tmp_path)
    assert not folder.finished()
    folder.finish(7)
    assert folder.finished()
    assert json.loads((tmp_path / "finished.json").read_text()) == {"step": 7}


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is saved as its step: what a model's file holds is tested elsewhere."""

    def save(model: MultiTaskViT, path: Path, extra: dict[str, Any]) -> None:
        path.write_text(str(extra["step"]))

    monkeypatch.setattr(runs_folder.checkpoint, "save", save)


def evaluated(folder: RunFolder, step: int) -> None:
    metrics = {"det/AP": step / 10, "det/APl": math.nan}
    folder.keep_evaluation(
        Mock(spec=MultiTaskViT, backbone=None), step, Evaluation(metrics, {"det": Details()})
    )


@pytest.mark.usefixtures("saves")
def test_metrics_that_nobody_could_compute_are_null_on_the_disk(tmp_path: Path) -> None:
    folder = made(tmp_path)
    evaluated(folder, 3)
    assert json.loads((tmp_path / "metrics.json").read_text())["det/APl"] is None
    found = folder.metrics()
    assert found["det/AP"] == 0.3
    assert math.isnan(found["det/APl"])
    assert [record["step"] for record in folder.records.read("eval")] == [3]


@pytest.mark.usefixtures("saves")
@pytest.mark.parametrize("place", [1, 2, 3], ids=["details", "metrics", "record"])
def test_an_evaluation_counts_when_all_of_it_is_written(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path)
    evaluated(folder, 3)
    names = sorted(path.name for path in tmp_path.iterdir())
    count = iter(range(1, 9))

    def full(write: Callable[..., None]) -> Callable[..., None]:
        def writing(*given: Any) -> None:
            if next(count) == place:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(*given)

        return writing

    monkeypatch.setattr(records, "write_text", full(records.write_text))
    monkeypatch.setattr(folder.records, "add", full(folder.records.add))
    with pytest.raises(DiskError, match="cannot be written to"):
        evaluated(folder, 6)
    assert [record["step"] for record in folder.records.read("eval")] == [3]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
