"""TensorBoard and Weights & Biases: told what ``metrics.jsonl`` is told, and never able to stop a run."""

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from mtvit_core.errors import ConfigError
from mtvit_core.files import write_text
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.state.run_files import TENSORBOARD, WANDB_ID

Tell = Callable[[str], None]

#: Seconds that a question for an account may wait for an answer.
_PATIENCE = 60


class Writer(Protocol):
    """Takes the numbers of a run."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take named numbers of one step."""
        ...

    def flush(self) -> None:
        """Put what was taken out of the reach of a signal that kills this process."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoard:
    """Writes event files."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open a file; points of later steps in files that are there already are shown no more.

        Args:
            folder: Where TensorBoard will look.
            step: Updates made so far.
        """
        from torch.utils.tensorboard.writer import SummaryWriter

        self._file: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of every curve."""
        for name, value in values.items():
            self._file.add_scalar(name, value, step)

    def flush(self) -> None:
        """Write out what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class WeightsAndBiases:
    """Sends to a project of Weights & Biases; ``WANDB_MODE=offline`` keeps everything here."""

    def __init__(self, folder: Path, project: str, settings: Mapping[str, Any]) -> None:
        """Start a run there, or go on with the one that this folder began.

        Args:
            folder: Where its files and its id go; its name is that of the run.
            project: Name of the project.
            settings: Settings of our run, shown beside the curves.
        """
        wandb: Any = import_module("wandb")  # an extra: it need not be there for type checks
        self._run = wandb.init(
            project=project,
            id=_kept_id(folder / WANDB_ID),
            resume="allow",  # goes on with the run of this id where there is one
            name=folder.name,
            dir=str(folder),
            config=dict(settings),
            settings={"login_timeout": _PATIENCE},
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Send one point of every curve; an evaluation joins the losses of its step.

        A step before the last one sent is passed over there, so a resumed run repeats no point.
        """
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        """Nothing: a process of its own has what was sent, and outlives this one."""

    def close(self) -> None:
        """End the run there."""
        self._run.finish()


def _kept_id(path: Path) -> str:
    """Return the id in a file; where there is none, a new one is put there."""
    if not path.is_file():
        write_text(path, uuid4().hex)
    return path.read_text(encoding="utf-8").strip()


class Guarded:
    """A writer whose first exception is told in one line and switches it off."""

    def __init__(self, name: str, open_: Callable[[], Writer], tell: Tell) -> None:
        """Open the writer.

        Args:
            name: The setting below ``records`` that asks for it.
            open_: Makes the writer.
            tell: Shows a line to the user.
        """
        self._name, self._tell = name, tell
        self._writer: Writer | None = None
        self._writer = self._try(open_)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Hand on what is a number; NaN, which stands for "nothing was labelled", is left out."""
        writer = self._writer
        if writer is not None:
            known = {name: value for name, value in values.items() if not math.isnan(value)}
            self._try(lambda: writer.add(step, known))

    def flush(self) -> None:
        """Let it put what it was told out of the reach of a kill."""
        if self._writer is not None:
            self._try(self._writer.flush)

    def close(self) -> None:
        """Let it write what is left."""
        if self._writer is not None:
            self._try(self._writer.close)
            self._writer = None

    def _try(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # whatever a logger does, the run goes on
            self._writer = None
            words = " ".join(f"{type(error).__name__}: {error}".split())
            self._tell(f"records.{self._name}: switched off, since it failed: {words:.200}. The run goes on.")
            return None


def require_packages(config: RecordsConfig) -> None:
    """Check that what a run asks for is installed.

    Raises:
        ConfigError: the package of a writer is not.
    """
    for package in _wanted(config):
        if find_spec(package) is None:
            raise ConfigError(
                f"config: records.{package} is true, but the package {package!r} is not installed; "
                f'pip install "mtvit-train[{package}]", or leave the setting out.'
            )


def open_writers(
    config: RecordsConfig, out: Path, settings: Mapping[str, Any], tell: Tell, step: int
) -> list[Guarded]:
    """Open the writers that a run asks for.

    Args:
        config: Which ones.
        out: The run folder.
        settings: All settings of the run.
        tell: Shows a line to the user.
        step: Updates made so far; what was told of later ones counts no more.
    """
    openers: dict[str, Callable[[], Writer]] = {
        "tensorboard": lambda: TensorBoard(out / TENSORBOARD, step),
        "wandb": lambda: WeightsAndBiases(out, config.wandb_project, settings),
    }
    return [Guarded(name, openers[name], tell) for name in _wanted(config)]


def _wanted(config: RecordsConfig) -> list[str]:
    """Names of settings, which are those of the packages."""
    return [name for name, on in (("tensorboard", config.tensorboard), ("wandb", config.wandb)) if on]
