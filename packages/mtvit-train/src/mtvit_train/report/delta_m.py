"""How much several tasks gain or lose by sharing a model: delta_m, positive where sharing helps.

    delta_m = 100 mean_t mean_i s_i (M_i - B_i) / B_i       in percent

with metric i of task t in the model of several tasks, M, and of that task alone, B; s = 1 where higher is
better and -1 where lower is. Maninis et al. 2019, eq. 3; the mean over a task's metrics first is LibMTL's.
Nash-MTL and FAMO take one flat mean over all metrics, with the opposite sign: there lower is better.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtvit_core.errors import DataError
from mtvit_train.state.run_files import METRICS

#: Metrics that count: the ones that say how good a task is, once each.
HIGHER = ("AP", "PQ", "mIoU", "pixel_accuracy", "below_11.25", "below_22.5", "below_30", "mAP", "top1", "ODS")
LOWER = ("abs_err", "rel_err", "mean_angle", "median_angle")


@dataclass(frozen=True)
class Change:
    """One metric in the model of several tasks and alone.

    Attributes:
        name: ``task/metric``.
        several: Value in the model of several tasks.
        alone: Value of the task alone.
        lower: Whether lower is better.
    """

    name: str
    several: float
    alone: float
    lower: bool

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.name.partition("/")[0]

    @property
    def percent(self) -> float:
        """Relative change in percent, positive where the model of several tasks is better."""
        return (-100 if self.lower else 100) * (self.several - self.alone) / self.alone


def changes(
    several: Mapping[str, float],
    alone: Mapping[str, float],
    higher: Sequence[str] = HIGHER,
    lower: Sequence[str] = LOWER,
) -> list[Change]:
    """Compare the metrics that count.

    Args:
        several: Metrics of the model of several tasks, by ``task/metric``.
        alone: Those of each task alone.
        higher: Metrics that are better the higher.
        lower: Metrics that are better the lower.

    Raises:
        DataError: a task is missing on one side, or there is a value that has no relative change.
    """
    ours, theirs = ({name.partition("/")[0] for name in side if _counts(name, (*higher, *lower))}
                    for side in (several, alone))  # fmt: skip
    if ours != theirs or not ours:
        raise DataError(
            f"compare: the model of several tasks has scores of {_listed(ours)}, the single runs of "
            f"{_listed(theirs)}; give one single run of each task of the model."
        )
    found = [
        Change(name, value, alone[name], name.partition("/")[2] in lower)
        for name, value in several.items()
        if _counts(name, (*higher, *lower)) and name in alone
    ]
    for change in found:
        if not (math.isfinite(change.several) and math.isfinite(change.alone) and change.alone):
            raise DataError(
                f"compare: {change.name} is {change.several:g} beside {change.alone:g} alone, of which "
                "there is no relative change; evaluate on data that label it, or leave it out by naming the "
                "metrics that count (--higher, --lower)."
            )
    return found


def delta_m(found: Sequence[Change], flat: bool = False) -> float:
    """Return the mean change in percent, positive where sharing helps.

    Args:
        found: At least one change.
        flat: Average over all metrics alike, not over those of each task first.
    """
    if flat:
        return sum(change.percent for change in found) / len(found)
    tasks: dict[str, list[float]] = {}
    for change in found:
        tasks.setdefault(change.task, []).append(change.percent)
    return sum(sum(own) / len(own) for own in tasks.values()) / len(tasks)


def read_metrics(folder: Path) -> dict[str, float]:
    """Return the metrics of a run folder, or of a JSON file such as ``mtvit evaluate --out`` writes.

    Raises:
        DataError: there are none.
    """
    path = folder / METRICS if folder.is_dir() else folder
    if not path.is_file():
        raise DataError(f"{folder}: holds no {METRICS}; give the folder of a run that was evaluated.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(name, value) for name, value in found.items() if "/" in name]
        return {name: math.nan if value is None else float(value) for name, value in pairs}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the metrics of a run ({error}); evaluate the model again.") from error


def together(singles: Sequence[tuple[Path, Mapping[str, float]]]) -> dict[str, float]:
    """Return the metrics of several runs as those of one.

    Raises:
        DataError: two of them have the same task.
    """
    owner: dict[str, Path] = {}
    for folder, metrics in singles:
        for task in dict.fromkeys(name.partition("/")[0] for name in metrics):
            if task in owner:
                raise DataError(
                    f"compare: {owner[task]} and {folder} both have the task {task!r}; give one run of each."
                )
            owner[task] = folder
    return {name: value for _, metrics in singles for name, value in metrics.items()}


def _counts(name: str, metrics: Sequence[str]) -> bool:
    return name.partition("/")[2] in metrics


def _listed(tasks: set[str]) -> str:
    return ", ".join(sorted(tasks)) or "no task"
