"""The data sets of a run that can be checked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mtvit_core.errors import ConfigError
from mtvit_core.structures.annotations import SplitName
from mtvit_train.build.data import read_split, read_table
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.near_names import near_path
from mtvit_train.data.packed import PackedAnnotations


@dataclass(frozen=True)
class Patient:
    """A data set to check.

    Attributes:
        read: Reads one split, faults noted.
        splits: The splits there are; one, where both are the same files or val is not evaluated.
    """

    read: Callable[[SplitName, Faults], PackedAnnotations]
    splits: tuple[SplitName, ...]


def patients(run: RunConfig) -> dict[str, Patient]:
    """Return the data sets of a run by name.

    Raises:
        ConfigError: the data are generated, or a folder is not there.
    """
    if isinstance(run.data, str):
        if run.data == "scenes":
            raise ConfigError(
                "doctor: scenes are generated, so there is nothing to check; give a folder by --data."
            )
        root = _folder(run.data)
        one = Patient(lambda split, faults: read_split(run, root, split, faults), _splits(run, both=True))
        return {root.name: one}
    found = {}
    for table in run.data:
        _folder(table.path)
        alone = run.model_copy(update={"coco": table.coco or run.coco})
        found[table.title] = Patient(partial(read_table, run, table), _splits(alone, both=table.evaluate))
    return found


def _folder(path: str) -> Path:
    if not Path(path).exists():
        raise ConfigError(f"doctor: {path}: no such data folder; check the path.{near_path(Path(path))}")
    return Path(path)


def _splits(run: RunConfig, *, both: bool) -> tuple[SplitName, ...]:
    return ("train", "val") if both and run.coco.train != run.coco.val else ("train",)
