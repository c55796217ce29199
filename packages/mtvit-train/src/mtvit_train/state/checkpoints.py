"""The last checkpoints of a run: folders ``checkpoints/step-NNNNNNNN``, each whole or absent."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.state.atomic_folder import (
    ALONE,
    DiskError,
    open_folder,
    remove_folder,
    remove_leftovers,
    write_folder,
)
from mtvit_train.state.run_files import CHECKPOINTS

_NAME = re.compile(r"step-(\d{8,})")


class Checkpoints:
    """Writes and finds the checkpoints of a run; its processes have to ask for both together.

    Attributes:
        folder: Where they are.
        keep: How many are kept.
        last: Step of the newest one that is known to be whole; 0 where there is none.
    """

    def __init__(self, out: Path, keep: int, tell: Callable[[str], None], ranks: Ranks = ALONE) -> None:
        """Name the folder.

        Args:
            out: Run folder.
            keep: How many are kept, at least 1.
            tell: Given one line where a checkpoint is torn or cannot be written.
            ranks: The processes of the run.
        """
        self.folder, self.keep, self.tell, self.ranks = out / CHECKPOINTS, keep, tell, ranks
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
            state: Nested tensors and plain data, as this process holds them.

        Returns:
            Whether it was written, which is the same in all processes.
        """
        if step and step == self.last:
            return True
        try:
            write_folder(self.path(step), state, self.ranks)
        except DiskError as cause:
            self.tell(f"checkpoint {cause} The last one is of step {self.last}.")
            return False
        self.last = step
        self.ranks.lead(lambda: self._remove_old(step))
        return True

    def _remove_old(self, step: int) -> None:
        # Those of later steps are torn: the run has gone back behind them.
        past = [other for other in self.steps() if other <= step]
        for old in {*self.steps()} - {*past[-self.keep :]}:
            remove_folder(self.path(old))

    def newest(self) -> dict[str, Any] | None:
        """Return the state of the newest checkpoint that is whole; None where there never was one.

        Its tensors are left in their files, as ``Stored``. What a killed process has left unfinished is
        cleared away.

        Raises:
            CheckpointError: there are some, but all are torn.
        """
        steps = self.ranks.lead(self._present)
        for step in reversed(steps):
            try:
                state, self.last = open_folder(self.path(step), self.ranks), step
            except CheckpointError as cause:
                self.tell(f"checkpoint {cause} It is skipped.")
            else:
                return state
        if steps:
            raise CheckpointError(
                f"{self.folder}: all {len(steps)} checkpoints are damaged; restore one, or remove the folder "
                "to start again from step 0."
            )
        return None

    def _present(self) -> list[int]:
        remove_leftovers(self.folder)
        return self.steps()
