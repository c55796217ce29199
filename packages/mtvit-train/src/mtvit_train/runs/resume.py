"""Going on with a run: its settings, and what may not have changed since it was stopped."""

import shlex
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from mtvit_core.config import validate
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_train.__about__ import __version__
from mtvit_train.config.pretraining import PretrainConfig, read_pretrain
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.distributed.stop_signals import StopAsked
from mtvit_train.engine.trainer import Trainer
from mtvit_train.runs.folder import AnyConfig, RunFolder, read_settings
from mtvit_train.state.checkpoints import Checkpoints


def resumed_settings(
    config: str | None, overrides: Mapping[str, Any], assignments: tuple[str, ...]
) -> RunConfig:
    """Return the settings of the run that the options point to.

    Args:
        config: As for ``read_run``.
        overrides: As for ``read_run``; ``out`` is the run folder.
        assignments: As for ``read_run``.

    Raises:
        ConfigError: the folder holds no run, or an option asks for another setting than the run has.
    """
    out = read_run(config, dict(overrides), assignments).out
    saved = read_settings(Path(out), RunConfig)
    asked = read_run(config, dict(overrides), assignments, saved.model_dump(mode="json"))
    check_same(saved, asked, out)
    return saved.model_copy(update={"out": out})


def resumed_pretraining(
    config: str | None, overrides: Mapping[str, Any], assignments: tuple[str, ...]
) -> PretrainConfig:
    """Return the settings of the pre-training that the options point to.

    Args:
        config: As for ``read_pretrain``.
        overrides: As for ``read_pretrain``; ``out`` is the run folder.
        assignments: As for ``read_pretrain``.

    Raises:
        ConfigError: the folder holds no pre-training, or an option asks for another setting than it has.
    """
    out = read_pretrain(config, dict(overrides), assignments).out
    saved = read_settings(Path(out), PretrainConfig)
    asked = read_pretrain(config, dict(overrides), assignments, saved.model_dump(mode="json"))
    check_same(saved, asked, out)
    return saved.model_copy(update={"out": out})


def check_same(saved: BaseModel, asked: BaseModel, out: str, free: Container[str] = ()) -> None:
    """Refuse to go on with other settings.

    Args:
        saved: Those of the run.
        asked: Those that the options ask for.
        out: Its folder, for the message.
        free: Settings that may change.

    Raises:
        ConfigError: naming the first that differs.
    """
    for path, ours, theirs in differences(saved, asked):
        if path in free or _left_open(path, theirs):
            continue
        raise ConfigError(
            f"resume {out}: {path} is {ours!r} in its config.json, but {theirs!r} was asked for; leave the "
            "option out, or start another run."
        )


def _left_open(path: str, asked: Any) -> bool:
    """Tell whether what is asked for follows from the data, as it did when the run began."""
    return path == "model.patches" or (path == "train.steps" and asked == 0)


def way_on(asked: StopAsked, config: AnyConfig, folder: RunFolder, command: str) -> str:
    """Say how a run that was stopped goes on.

    Args:
        asked: What stopped it.
        config: Its settings.
        folder: Its folder.
        command: What it was started by.
    """
    if not folder.begun():
        return f"stopped by {asked.cause} before the first step; to go on, give the same command again."
    return (
        f"stopped by {asked.cause}; to go on from step {folder.checkpoints.last} of {config.train.steps}: "
        f"{command} --out {shlex.quote(config.out)} --resume"
    )


def differences(one: BaseModel, other: BaseModel) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path and the two values of every setting that differs; where the run lies does not count."""
    first, second = (dict(_flat(config.model_dump(mode="json"))) for config in (one, other))
    for path in first | second:
        if path != "out" and first.get(path) != second.get(path):
            yield path, first.get(path), second.get(path)


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def origin(config: AnyConfig) -> dict[str, Any]:
    """Return what a checkpoint tells of the run that wrote it."""
    settings = config.model_dump(mode="json", exclude={"out"})
    return {
        "settings": settings,
        "mtvit": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def take_up(trainer: Trainer[Any], folder: RunFolder, config: AnyConfig, tell: Callable[[str], None]) -> None:
    """Take up a run at its newest checkpoint that is whole; at the start where there is none.

    Each process reads what it holds.

    Args:
        trainer: Fresh; it is given the state.
        folder: That of the run; what was recorded after the checkpoint is removed.
        config: Settings of the run.
        tell: Given lines for the terminal.

    Raises:
        CheckpointError: all checkpoints are torn, ``config.json`` was changed since, or the weights do not
            fit.
    """
    trainer.ranks.together(lambda: _load(trainer, folder.checkpoints, config, tell))

    def recorded() -> int:
        folder.records.cut(trainer.step)
        return max((record["step"] for record in folder.records.read("eval")), default=0)

    trainer.evaluated = trainer.ranks.lead(recorded)
    tell(f"resume {config.out}: going on from step {trainer.step} of {config.train.steps}.")


def _load(
    trainer: Trainer[Any], checkpoints: Checkpoints, config: AnyConfig, tell: Callable[[str], None]
) -> None:
    state = checkpoints.newest()
    if state is None:
        return
    for line in _changes(state["origin"], config):
        tell(f"resume {config.out}: {line}")
    try:
        trainer.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError) as cause:
        raise CheckpointError(
            f"resume {config.out}: the checkpoint of step {state['step']} does not fit the model "
            f"({str(cause).splitlines()[0]}); install the versions of the plugins that wrote it."
        ) from cause


def _changes(found: Mapping[str, Any], config: AnyConfig) -> Iterator[str]:
    """Yield a line for each thing that keeps a run from going on bit for bit as it would have.

    Raises:
        CheckpointError: the settings are other ones than when the checkpoint was written.
    """
    for path, before, now in differences(validate(type(config), found["settings"]), config):
        raise CheckpointError(
            f"resume {config.out}: {path} was {before!r} when its checkpoint was written and is {now!r} in "
            "config.json; change it back, or start another run."
        )
    here = origin(config)
    for name in ("mtvit", "torch", "threads"):
        if here[name] != found[name]:
            yield (
                f"{name} was {found[name]} when its checkpoint was written and is {here[name]}, so the "
                "results may not be bit for bit those of a run without a stop."
            )
