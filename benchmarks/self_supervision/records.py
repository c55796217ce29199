"""What the records of a run tell of time."""

import json
import statistics
from pathlib import Path
from typing import Any

from mtvit_train.state import run_files

#: Updates of a run that is only timed, and the first of them that count.
TIMED, FROM = 9, 3


def read(out: Path) -> list[dict[str, Any]]:
    """Return the records of a run, those of updates and of evaluations, in order."""
    return [json.loads(line) for line in (out / run_files.RECORDS).read_text().splitlines()]


def pace(out: Path) -> float:
    """Return the median of the seconds of an update, the first ones left out."""
    updates = [record for record in read(out) if record["kind"] == "train"]
    return statistics.median(record["step_s"] for record in updates if record["step"] > FROM)


def curve(out: Path) -> list[tuple[float, dict[str, float]]]:
    """Return minutes of updates and the APs of every evaluation."""
    spent, last, found = 0.0, 0, []
    for record in read(out):
        if record["kind"] == "train":
            spent, last = spent + record["step_s"] * (record["step"] - last), record["step"]
        else:
            found.append((spent / 60, {n: v for n, v in record.items() if n.endswith("/AP")}))
    return found


def minutes(out: Path) -> float:
    """Return the minutes of all updates of a run."""
    updates = [record for record in read(out) if record["kind"] == "train"]
    starts = [0, *(record["step"] for record in updates)]
    spans = zip(updates, starts, strict=False)
    return sum(record["step_s"] * (record["step"] - start) for record, start in spans) / 60
