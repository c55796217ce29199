"""The growing file ``search.jsonl``: what was measured and scored, in an order that the settings decide.

A search that goes on makes the same decisions again and takes from the log what it would measure and score,
so that nothing else has to be saved.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_core.files import flush
from mtvit_train.recording.records import append_record, write_lines, written_lines
from mtvit_train.state.atomic_folder import writing

#: What goes on with a search.
COMMAND = "mtvit-train search"


class Log:
    """Records of a search; those that are there are recalled in their order before new ones are added."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that is torn is removed.

        Args:
            path: The file; it is made by the first record.

        Raises:
            CheckpointError: a line is damaged.
        """
        self.path, self._at = path, 0
        self._known = [self._parsed(number, line) for number, line in enumerate(written_lines(path), 1)]
        if path.is_file():
            write_lines(path, written_lines(path))

    @property
    def left(self) -> int:
        """Records that are there and were not recalled yet."""
        return len(self._known) - self._at

    def count(self, kind: str) -> int:
        """Count the records of a kind that were there at the start."""
        return sum(record.get("kind") == kind for record in self._known)

    def recall(self, kind: str, **about: Any) -> dict[str, Any] | None:
        """Return the next record; None where all are recalled.

        Args:
            kind: What it has to be.
            about: What it has to tell.

        Raises:
            CheckpointError: it is another one.
        """
        if not self.left:
            return None
        record, wanted = self._known[self._at], {"kind": kind, **about}
        for name, value in wanted.items():
            if record.get(name) != value:
                raise CheckpointError(
                    f"{self.path}: line {self._at + 1} has {name} {record.get(name)!r} where this search "
                    f"comes to {value!r}; go on with the settings, the supernet and the versions that wrote "
                    "it, or start another search."
                )
        self._at += 1
        return record

    def add(self, kind: str, values: Mapping[str, Any]) -> None:
        """Append a record, and have the disk keep it.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        assert not self.left, "what is known is recalled first"
        with writing(self.path.parent, COMMAND):
            append_record(self.path, {"kind": kind, **values})
            flush(self.path)

    def _parsed(self, number: int, line: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as cause:
            raise CheckpointError(f"{self.path}: line {number} is damaged ({cause}); restore it.") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{self.path}: line {number} is no record; restore it.")
        return found
