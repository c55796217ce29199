"""When a run ends before its last step: once evaluations no longer get better."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

#: Metrics that say how good a task is, all the better the higher; of a task that tells several, the first.
SCORES = ("AP", "PQ", "mIoU", "mAP", "top1")


def main_metrics(metrics: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Return name and value of what says how good each task is, by task; those that tell none are left out.

    Args:
        metrics: Numbers by ``task/metric``, null and NaN where nothing was labelled; others do not count.
    """
    tasks: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        task, _, metric = name.partition("/")
        if metric in SCORES and value is not None and math.isfinite(value):
            tasks.setdefault(task, {})[metric] = value
    mains = {task: min(own, key=SCORES.index) for task, own in tasks.items()}
    return {task: (main, tasks[task][main]) for task, main in mains.items()}


def score(metrics: Mapping[str, Any]) -> float:
    """Return the mean of the tasks' main metrics; NaN where none tells one."""
    best = [value for _, value in main_metrics(metrics).values()]
    return sum(best) / len(best) if best else math.nan


class EarlyStopping:
    """Follows the evaluations of a run; evaluation at equal steps in any process gives the same answers.

    Attributes:
        best: The highest score so far; NaN before the first.
        since: Evaluations after the best one.
    """

    def __init__(self, patience: int, evaluations: Iterable[Mapping[str, Any]] = ()) -> None:
        """Follow what was evaluated already.

        Args:
            patience: Evaluations that may pass without a better one; 0: any number.
            evaluations: Metrics of earlier evaluations, in order.
        """
        self.patience, self.best, self.since = patience, math.nan, 0
        for metrics in evaluations:
            self.follow(metrics)

    def follow(self, metrics: Mapping[str, Any]) -> bool:
        """Take in an evaluation; return whether its weights are to be kept.

        They are if nothing was better. Without patience, or where no task tells a score, the last count.
        """
        found = score(metrics)
        if not self.patience or math.isnan(found):
            return True
        if math.isnan(self.best) or found > self.best:
            self.best, self.since = found, 0
            return True
        self.since += 1
        return False

    @property
    def ended(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self.patience <= self.since
