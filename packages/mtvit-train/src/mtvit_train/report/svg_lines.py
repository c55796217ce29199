"""Lines as SVG paths: ticks, scales and places; the template draws them, the style sheet colours them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mtvit_core.evaluation.details import Chart, Line

#: Places along a line at most; more are averaged in groups.
_PLACES = 240
#: Lines of at most this many places show each as a dot.
_DOTS = 24

#: Colours of the style sheet; further lines have them again, dashed, then dotted.
_COLOURS = 8
_STROKES = ("", " dashed", " dotted")
#: What runs across in charts of the course of a run.
STEPS = "step"

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Box:
    """Size of a drawing, and where its lines are, in units that the page scales."""

    width: int = 340
    height: int = 216
    left: int = 42
    right: int = 330
    top: int = 8
    bottom: int = 178


BOX = Box()


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: Its place in units of the drawing.
        label: Its text.
    """

    at: float
    label: str


@dataclass(frozen=True)
class Path:
    """A line as drawn.

    Attributes:
        name: What the legend says.
        last: Its last value, as text; empty where the chart does not run over steps.
        style: Classes of the style sheet: its colour and its stroke.
        d: The SVG path.
        dots: Places that are marked.
    """

    name: str
    last: str
    style: str
    d: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plot:
    """A chart with all places worked out.

    Attributes:
        title: What it shows.
        across: What runs from left to right.
        up: What runs upwards.
        x: Marks below.
        y: Marks on the left.
        paths: The lines.
        note: How to read it.
    """

    title: str
    across: str
    up: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    paths: tuple[Path, ...]
    note: str


def plot(chart: Chart, scale: Scale = "linear") -> Plot | None:
    """Work out where the lines of a chart go.

    Args:
        chart: The lines.
        scale: Of the values; on ``log``, values of 0 and below interrupt a line.

    Returns:
        None where no line has a value.
    """
    lines = [_thinned(_known(line, scale)) for line in chart.lines]
    lines = [line for line in lines if any(map(math.isfinite, line.y))]
    if not lines:
        return None
    values = [v for line in lines for v in line.y if math.isfinite(v)]
    places = [v for line in lines for v in line.x]
    marks_x = ticks(min(places), max(places), whole=all(v == int(v) for v in places))
    low = min(values) if chart.least is None else chart.least
    high = max(values) if chart.most is None else chart.most
    marks_y = log_ticks(low, high) if scale == "log" else ticks(low, high)
    across = _Axis(min(places), max(places), BOX.left, BOX.right)
    up = _Axis(min(low, marks_y[0]), max(high, marks_y[-1]), BOX.bottom, BOX.top, scale)
    return Plot(
        chart.title,
        chart.across,
        chart.up,
        tuple(Tick(across(v), short(v)) for v in marks_x),
        tuple(Tick(up(v), short(v)) for v in marks_y),
        tuple(_path(n, line, across, up, tells_last=chart.across == STEPS) for n, line in enumerate(lines)),
        chart.note,
    )


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    scale: Scale = "linear"

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) if self.scale == "log" else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return about five round numbers from ``low`` to ``high``; one where they are equal."""
    if high <= low:
        return [low]
    raw = (high - low) / 4.5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    step = max(1.0, round(step)) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)] or [low]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten from ``low`` to ``high``, with others between them where the range is short."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    parts = (1, 2, 5) if last - first <= 3 else (1,)
    every = max(1, (last - first) // 5)
    marks = [part * 10.0**n for n in range(first, last + 1, every) for part in parts]
    seen = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
    return seen if len(seen) > 2 else ticks(low, high)


def short(value: float) -> str:
    """Write a number in few characters."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def _known(line: Line, scale: Scale) -> Line:
    y = tuple(v if math.isfinite(v) and (scale == "linear" or v > 0) else math.nan for v in line.y)
    return Line(line.name, line.x, y)


def _thinned(line: Line) -> Line:
    """Average neighbours where there are more than can be seen."""
    group = math.ceil(len(line.x) / _PLACES)
    if group <= 1:
        return line
    starts = range(0, len(line.x), group)
    means = [_mean(line.y[start : start + group]) for start in starts]
    return Line(line.name, tuple(_mean(line.x[start : start + group]) for start in starts), tuple(means))


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if math.isfinite(v)]
    return sum(known) / len(known) if known else math.nan


def _path(number: int, line: Line, across: _Axis, up: _Axis, tells_last: bool) -> Path:
    parts, pen = [], "M"
    for x, y in zip(line.x, line.y, strict=True):
        if math.isfinite(y):
            parts.append(f"{pen}{across(x):g} {up(y):g}")
        pen = "L" if math.isfinite(y) else "M"
    few = len(line.x) <= _DOTS
    dots = tuple((across(x), up(y)) for x, y in zip(line.x, line.y, strict=True) if few and math.isfinite(y))
    last = short(next(y for y in reversed(line.y) if math.isfinite(y))) if tells_last else ""
    style = f"c{number % _COLOURS}{_STROKES[number // _COLOURS % len(_STROKES)]}"
    return Path(line.name, last, style, "".join(parts), dots)
