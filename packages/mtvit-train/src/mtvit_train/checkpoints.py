"""The last checkpoints of a run: folders ``checkpoints/step-NNNNNNNN``, each whole or absent."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_train.safe_folder import DiskError, read_folder, remove_folder, remove_leftovers, write_folder

_NAME = re.compile(r"step-(\d{8,})")


class Checkpoints:
    """Writes and finds the checkpoints of a run.

    Attributes:
        folder: Where they are.
        keep: How many are kept.
        last: Step of the newest one that is known to be whole; 0 where there is none.
    """

    def __init__(self, out: Path, keep: int, tell: Callable[[str], None]) -> None:
        """Name the folder.

        Args:
            out: Run folder.
            keep: How many are kept, at least 1.
            tell: Given one line where a checkpoint is torn or cannot be written.
        """
        self.folder, self.keep, self.tell = out / "checkpoints", keep, tell
        self.last = 0

    def steps(self) -> list[int]:
        """Return the steps of those that are there, whole or torn, in order."""
        names = [_NAME.fullmatch(path.name) for path in self.folder.glob("step-*")]
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, state: Mapping[str, Any]) -> bool:
        """Write a checkpoint, then remove the oldest ones; where the disk refuses, all older ones stay.

        Args:
            step: Updates made.
            state: Nested tensors and plain data.

        Returns:
            Whether it was written.
        """
        if step and step == self.last:
            return True
        try:
            self.folder.mkdir(exist_ok=True)
            write_folder(self.path(step), state)
        except (OSError, DiskError) as cause:
            self.tell(f"checkpoint {cause} The last one is of step {self.last}.")
            return False
        self.last = step
        # Those of later steps are torn: the run has gone back behind them.
        past = [other for other in self.steps() if other <= step]
        for old in {*self.steps()} - {*past[-self.keep :]}:
            remove_folder(self.path(old))
        return True

    def newest(self) -> dict[str, Any] | None:
        """Return the state of the newest checkpoint that is whole; None where there never was one.

        What a killed process has left unfinished is cleared away.

        Raises:
            CheckpointError: there are some, but all are torn.
        """
        remove_leftovers(self.folder)
        steps = self.steps()
        for step in reversed(steps):
            try:
                state, self.last = read_folder(self.path(step)), step
            except CheckpointError as cause:
                self.tell(f"checkpoint {cause} It is skipped.")
            else:
                return state
        if steps:
            raise CheckpointError(
                f"{self.folder}: all {len(steps)} checkpoints are torn; restore one, or remove the folder to "
                "start again from step 0."
            )
        return None
