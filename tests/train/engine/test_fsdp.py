"""Weights shared out over processes: the same training, and a state for any number of processes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_train.config.run import TrainConfig
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.fsdp import check_sharding
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.atomic_folder import read_folder
from support.commands.processes import forked
from workers import shard_worker


def in_processes(number: int, *arguments: object) -> Any:
    """What the first of some processes finds."""
    done = forked(shard_worker.__file__, *map(str, arguments), processes=number)
    assert done.returncode == 0, done.stderr
    return json.loads(Path(str(arguments[-1])).read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    write_scenes(folder / "scenes", train=7, val=3, seed=3, size=64)
    return folder


@pytest.fixture(scope="module")
def stopped(folder: Path) -> dict[str, Any]:
    """Two processes that stopped and went on."""
    found: dict[str, Any] = in_processes(2, "stop", folder / "scenes", folder / "state", folder / "two.json")
    return found


def test_each_process_holds_half_of_weights_and_moments(stopped: dict[str, Any]) -> None:
    assert stopped["share"] == pytest.approx(0.5, abs=0.02)
    assert stopped["moments"] == pytest.approx(2 * 0.5, abs=0.04)


def test_one_process_trains_alike_and_goes_on_from_the_state_of_two(
    folder: Path, stopped: dict[str, Any]
) -> None:
    alone = shard_worker.stopped(folder / "scenes", folder / "alone")
    assert stopped["before"] + stopped["after"] == pytest.approx(alone["before"] + alone["after"], rel=1e-5)
    assert shard_worker.gone_on(folder / "scenes", folder / "state") == pytest.approx(
        stopped["after"], rel=1e-5
    )
    states = [read_folder(folder / name) for name in ("state", "alone")]
    assert states[0].keys() == states[1].keys()
    for name in ("model", "average"):
        assert states[0][name].keys() == states[1][name].keys()
        for key, value in states[0][name].items():
            torch.testing.assert_close(value, states[1][name][key], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_three_processes_go_on_from_the_state_of_two_and_two_from_that_of_one(
    folder: Path, stopped: dict[str, Any]
) -> None:
    more = in_processes(3, "go on", folder / "scenes", folder / "state", folder / "three.json")
    assert more == pytest.approx(stopped["after"], rel=1e-5)
    alone = shard_worker.stopped(folder / "scenes", folder / "one")
    from_one = in_processes(2, "go on", folder / "scenes", folder / "one", folder / "from_one.json")
    assert from_one == pytest.approx(alone["after"], rel=1e-5)


def test_the_saved_model_is_whole(folder: Path, stopped: dict[str, Any]) -> None:
    model = mtvit_core.load(folder / "state.safetensors")
    _, val = shard_worker.make_trainer(folder / "scenes")
    metrics = evaluate(model, val, batch_size=2)
    assert {name: str(value) for name, value in metrics.items()} == stopped["metrics"]


@pytest.mark.parametrize(
    ("setting", "value", "other"),
    [("optimizer", "muon", "adamw"), ("weighting", "gradnorm", "fixed or uncertainty")],
)
def test_what_needs_whole_matrices_is_refused(setting: str, value: str, other: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_sharding(TrainConfig(**{setting: value, "parallel": "fsdp"}))
    assert str(caught.value) == (
        f"config: train.{setting} is '{value}', which needs whole matrices, but with train.parallel = 'fsdp' "
        f"each process holds a part of them; take {other}, or ddp."
    )
    check_sharding(TrainConfig(**{setting: value}))
    check_sharding(TrainConfig(parallel="fsdp"))
