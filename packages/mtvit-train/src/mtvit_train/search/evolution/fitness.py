"""How good a candidate is for all tasks at once: the sum of each task's metric over its single-task value.

fitness = sum over tasks t of m_t / s_t, or s_t / m_t where less is better
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mtvit_core.errors import ConfigError, did_you_mean
from mtvit_train.config.search import SearchTable
from mtvit_train.runs.early_stopping import main_metrics

Metrics = Mapping[str, float | None]
#: Least value of a metric of which less is better.
LEAST = 1e-9


@dataclass(frozen=True)
class Measure:
    """What is taken of one task.

    Attributes:
        metric: Its name.
        single: What the task reaches alone.
        falling: Whether less is better.
    """

    metric: str
    single: float
    falling: bool

    def ratio(self, value: float | None) -> float:
        """Return how much of the single-task value is reached; 0 where nothing is."""
        if value is None or not math.isfinite(value):
            return 0.0
        return self.single / max(value, LEAST) if self.falling else value / self.single


@dataclass(frozen=True)
class Fitness:
    """The measures of all tasks that count.

    Attributes:
        measures: By task.
        notes: Where they come from, a line each.
    """

    measures: Mapping[str, Measure]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, table: SearchTable, largest: Metrics) -> "Fitness":
        """Choose a metric and a single-task value for every task that is labelled.

        Args:
            table: Settings, which may name both.
            largest: Metrics of the largest candidate.

        Raises:
            ConfigError: settings name a task or a metric that is not there, a task tells no main metric, or
                the largest candidate reaches 0.
        """
        own = _by_task(largest)
        for name in {**table.metrics, **table.singles}:
            if name not in own:
                raise ConfigError(
                    f"search: there is no task {name!r} with metrics.{did_you_mean(name, own)} Tasks of the "
                    f"supernet: {', '.join(own)}."
                )
        chosen = {task: _chosen(task, table, told) for task, told in own.items() if _labelled(told)}
        found, borrowed = {}, []
        for task, (metric, falling) in chosen.items():
            value, single = own[task][metric] or 0.0, table.singles.get(task)
            if single is None:
                borrowed.append(f"{task} {metric} {value:.3f}")
            if single is None and value <= 0:
                raise ConfigError(
                    f"search: {task}/{metric} of the largest candidate is {value}, over which nothing can be "
                    f"compared; train the supernet for longer, or give search.singles.{task}."
                )
            found[task] = Measure(metric, single or value, falling)
        if not found:
            raise ConfigError("search: no task has labels in the images that are scored; take another split.")
        bare = [task for task in own if task not in found]
        left_out = [f"{', '.join(bare)}: nothing is labelled, so it does not count."] if bare else []
        lines = [f"Single-task values are those of the largest candidate: {', '.join(borrowed)}."]
        return cls(found, (*left_out, *(lines if borrowed else [])))

    def ratios(self, metrics: Metrics) -> dict[str, float]:
        """Return what each task reaches, over its single-task value."""
        return {task: one.ratio(metrics.get(f"{task}/{one.metric}")) for task, one in self.measures.items()}


def _by_task(metrics: Metrics) -> dict[str, dict[str, float | None]]:
    """Return metrics by task; consistency between tasks is none of one's own."""
    tasks: dict[str, dict[str, float | None]] = {}
    for name, value in metrics.items():
        task, _, metric = name.partition("/")
        if task != "link":
            tasks.setdefault(task, {})[metric] = value
    return tasks


def _labelled(told: Mapping[str, float | None]) -> bool:
    return any(value is not None and math.isfinite(value) for value in told.values())


def _chosen(task: str, table: SearchTable, told: Mapping[str, float | None]) -> tuple[str, bool]:
    """Return the metric of a task that counts, and whether less of it is better."""
    name = table.metrics.get(task, "")
    metric, falling = name.removeprefix("-"), name.startswith("-")
    if not name:
        metric = main_metrics({f"{task}/{key}": value for key, value in told.items()}).get(task, ("",))[0]
    value = told.get(metric)
    if value is None or not math.isfinite(value):
        what = f"search.metrics.{task} is {name!r}" if name else f"search: task {task!r} tells no main metric"
        known = ", ".join(key for key, value in told.items() if value is not None and math.isfinite(value))
        raise ConfigError(
            f"{what}; name one of {known} in search.metrics.{task}, with a - before it where less is better."
        )
    return metric, falling
