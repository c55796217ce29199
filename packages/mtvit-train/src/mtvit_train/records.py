"""What a run leaves behind in numbers: one JSON line per record, and the last evaluation."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtvit_core.details import Details
from mtvit_core.errors import ConfigError
from mtvit_train.writers import Guarded


def claim_folder(out: Path) -> None:
    """Make the run folder.

    Raises:
        ConfigError: it holds something already; nothing is ever overwritten.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(
            f"out {out}: not empty; runs are never overwritten. Give another folder with --out."
        )
    out.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON; NaN becomes null, since JSON has none."""
    path.write_text(json.dumps(_plain(data), indent=2) + "\n", encoding="utf-8")


def write_details(path: Path, details: Mapping[str, Details]) -> None:
    """Write what an evaluation tells beside its metrics, by task."""
    write_json(path, {task: told.to_json() for task, told in details.items()})


def read_details(path: Path) -> dict[str, Details]:
    """Return what ``write_details`` wrote; nothing where there is no such file yet."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {task: Details.from_json(told) for task, told in found.items()}


#: Name of the file of details in a run folder.
DETAILS = "details.json"


class Records:
    """The growing file ``metrics.jsonl`` of a run."""

    def __init__(self, out: Path, writers: Sequence[Guarded] = ()) -> None:
        """Name the file; it is opened for each line, so that a killed run keeps all of them.

        Args:
            out: The run folder.
            writers: Told the same.
        """
        self.path = out / "metrics.jsonl"
        self.writers = tuple(writers)

    def add(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append one record.

        Args:
            kind: ``train`` or ``eval``.
            step: Updates made so far.
            values: Losses or metrics.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_plain({"kind": kind, "step": step, **values})) + "\n")
        for writer in self.writers:
            writer.add(step, values)

    def close(self) -> None:
        """Let the writers write what is left."""
        for writer in self.writers:
            writer.close()

    def read(self, kind: str) -> list[dict[str, Any]]:
        """Return all records of a kind, in order."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [record for record in map(json.loads, lines) if record["kind"] == kind]


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
