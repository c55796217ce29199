"""Charts and figures of a run's records: losses by task, metrics, pace."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mtvit_core.evaluation.details import Chart, Line
from mtvit_train.engine.meter import WEIGHT
from mtvit_train.report.svg_lines import STEPS, Plot, plot, short

Record = Mapping[str, Any]
#: Metrics that a chart shows; where a task has none of them, all of its own.
_SHOWN = ("AP", "AP50", "AP75", "AR", "PQ", "SQ", "RQ", "mIoU", "pixel_accuracy")


@dataclass(frozen=True)
class Figure:
    """One number with a name.

    Attributes:
        name: What it is.
        value: The number, as text.
        note: What it is counted in, or how to read it.
    """

    name: str
    value: str
    note: str = ""


def loss_plots(records: Sequence[Record]) -> list[Plot]:
    """Return a chart of every task's terms, one of their sum, and one of weights that are learned."""
    names = _names(records, lambda name: "/" in name)
    charts = [
        Chart(task, STEPS, "weighted loss", tuple(_line(records, name) for name in own))
        for task, own in _by_task(names).items()
    ]
    charts.append(Chart("all tasks", STEPS, "sum of losses", (_line(records, "loss"),)))
    weights = _names(records, lambda name: name.startswith(WEIGHT))
    charts.append(Chart("weights of the tasks", STEPS, "factor", tuple(_line(records, n) for n in weights)))
    return [drawn for chart in charts if (drawn := plot(chart, "log")) is not None]


def metric_plots(records: Sequence[Record]) -> list[Plot]:
    """Return charts of every task's metrics; none where the run was evaluated once.

    Shares share a chart. What has a scale of its own, as errors in metres, has a chart of its own.
    """
    if len(records) < 2:
        return []
    plots = []
    for task, own in _by_task(_names(records, lambda name: "/" in name)).items():
        shown = [name for name in own if name.split("/")[1] in _SHOWN] or own
        lines = [line for line in (_line(records, name) for name in shown) if line.x]
        shares = [line for line in lines if min(line.y) >= 0 and max(line.y) <= 1]
        alone = [line for line in lines if line not in shares]
        charts = [Chart(task, STEPS, "", tuple(shares), least=0.0)]
        charts += [Chart(f"{task} {line.name}", STEPS, "", (line,)) for line in alone]
        plots += [drawn for chart in charts if (drawn := plot(chart)) is not None]
    return plots


def pace_plots(records: Sequence[Record]) -> list[Plot]:
    """Return charts of images per second, of the rate and of the gradient norm."""
    speed = Chart("throughput", STEPS, "images/s", (_line(records, "images_per_s"),), least=0.0)
    rate = Chart("learning rate of the heads", STEPS, "", (_line(records, "lr"),), least=0.0)
    norm = Chart("gradient norm before clipping", STEPS, "", (_line(records, "grad_norm"),))
    plots = [plot(speed), plot(rate), plot(norm, "log")]
    return [drawn for drawn in plots if drawn is not None]


def pace_figures(records: Sequence[Record]) -> list[Figure]:
    """Return means over the run of what the records say about time and memory."""
    if not records:
        return []
    steps = [record["step"] for record in records]
    spans = [end - start for start, end in zip([0, *steps], steps, strict=False)]
    seconds = sum(span * record.get("step_s", math.nan) for span, record in zip(spans, records, strict=True))
    figures = [
        Figure("updates", short(steps[-1])),
        Figure("training time", clock(seconds), "without evaluation"),
        Figure("throughput", _mean(records, "images_per_s"), "images/s"),
        Figure("time of an update", _mean(records, "step_s"), "s"),
        Figure("waiting for data", _mean(records, "data_wait", 100), "% of the time"),
        Figure("loader could deliver", _mean(records, "loader_images_per_s"), "images/s"),
    ]
    peaks = [record["gpu_peak_mb"] for record in records if record.get("gpu_peak_mb") is not None]
    return figures + ([Figure("GPU memory", short(max(peaks)), "MiB at most")] if peaks else [])


def clock(seconds: float) -> str:
    """Write a duration as hours, minutes or seconds."""
    if math.isnan(seconds):
        return "-"
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {round(seconds % 3600 / 60)} min"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _mean(records: Sequence[Record], name: str, factor: float = 1.0) -> str:
    known = [record[name] for record in records if record.get(name) is not None]
    return f"{factor * fmean(known):.3g}" if known else "-"


def _names(records: Sequence[Record], wanted: Any) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record if wanted(name)))


def _by_task(names: Sequence[str]) -> dict[str, list[str]]:
    tasks: dict[str, list[str]] = {}
    for name in names:
        tasks.setdefault(name.split("/")[0], []).append(name)
    return tasks


def _line(records: Sequence[Record], name: str) -> Line:
    known = [
        (float(record["step"]), float(record[name])) for record in records if record.get(name) is not None
    ]
    return Line(
        name.split("/")[-1].removeprefix(WEIGHT),
        tuple(step for step, _ in known),
        tuple(value for _, value in known),
    )
