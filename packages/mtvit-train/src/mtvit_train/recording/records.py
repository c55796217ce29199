"""What a run leaves behind in numbers: one JSON line per record, and the last evaluation."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.evaluation.details import Details
from mtvit_core.files import flush, write_text
from mtvit_train.recording.trackers import Guarded
from mtvit_train.state.run_files import RECORDS


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON, whole or not at all; NaN becomes null, since JSON has none."""
    write_text(path, json.dumps(_plain(data), indent=2) + "\n")


def write_details(path: Path, details: Mapping[str, Details]) -> None:
    """Write what an evaluation tells beside its metrics, by task."""
    write_json(path, {task: told.to_json() for task, told in details.items()})


def read_details(path: Path) -> dict[str, Details]:
    """Return what ``write_details`` wrote; nothing where there is no such file yet.

    Raises:
        DataError: the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {task: Details.from_json(told) for task, told in found.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not what an evaluation wrote ({type(error).__name__}: {error}); remove the file, and "
            "evaluate again."
        ) from error


class Records:
    """The growing file ``metrics.jsonl`` of a run."""

    def __init__(self, out: Path, writers: Sequence[Guarded] = ()) -> None:
        """Name the file; it is opened for each line, so that a killed run keeps all of them.

        Args:
            out: The run folder.
            writers: Told the same.
        """
        self.path = out / RECORDS
        self.writers = tuple(writers)

    def add(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append one record.

        Args:
            kind: ``train`` or ``eval``.
            step: Updates made so far.
            values: Losses or metrics.
        """
        append_record(self.path, {"kind": kind, "step": step, **values})
        for writer in self.writers:
            writer.add(step, values)

    def close(self) -> None:
        """Let the writers write what is left."""
        for writer in self.writers:
            writer.close()

    def read(self, kind: str) -> list[dict[str, Any]]:
        """Return all records of a kind, in order."""
        return [record for record in map(json.loads, written_lines(self.path)) if record["kind"] == kind]

    def cut(self, step: int) -> None:
        """Remove what was recorded after a step, and a last line that is torn.

        Args:
            step: Updates made at the checkpoint that a run goes on from.
        """
        write_lines(
            self.path, [line for line in written_lines(self.path) if json.loads(line)["step"] <= step]
        )

    def flush(self) -> None:
        """Have the disk keep what was recorded, and the writers what they were told."""
        if self.path.is_file():
            flush(self.path)
        for writer in self.writers:
            writer.flush()


def written_lines(path: Path) -> list[str]:
    """Return all whole lines of a growing file; one without its end was being written at a kill."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write the lines of a growing file anew, whole or not at all."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append a line to a growing file; NaN becomes null."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_plain(record)) + "\n")


def _plain(data: Any) -> Any:
    """Return data as JSON has them: null for numbers that are not finite."""
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
