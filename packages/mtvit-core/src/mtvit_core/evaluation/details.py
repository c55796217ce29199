"""What an evaluation tells beside its metrics: tables, charts, matrices, and which images went worst.

An evaluator makes them of plain words and numbers; the trainer keeps them as JSON and shows them in a run's
report.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mtvit_core.errors import PluginError

#: What a cell of a table may hold; None and NaN are shown as a dash.
Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows of values, such as one per class.

    Attributes:
        title: What it shows.
        columns: Head of each column; the first names the rows.
        rows: Cells, as many as columns in every row.
        note: How to read it, one or two sentences; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Check the number of cells.

        Raises:
            PluginError: a row does not fit the columns.
        """
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise PluginError(
                    f"details: row {number} of table {self.title!r} has {len(row)} cells for "
                    f"{len(self.columns)} columns; give one cell per column."
                )


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: Its text in the legend.
        x: Places along the chart.
        y: Values, one per place; NaN interrupts the line.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the number of values.

        Raises:
            PluginError: there are more or fewer than places.
        """
        if len(self.x) != len(self.y):
            raise PluginError(
                f"details: line {self.name!r} has {len(self.x)} places and {len(self.y)} values; give one "
                "value per place."
            )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Line":
        """Build a line from JSON."""
        return cls(data["name"], tuple(data["x"]), tuple(math.nan if v is None else v for v in data["y"]))


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis, such as precision over recall.

    Attributes:
        title: What it shows.
        across: What runs from left to right.
        up: What runs upwards.
        lines: The lines.
        note: How to read it; may be empty.
        least: Value at the bottom; None for the smallest.
        most: Value at the top; None for the largest.
    """

    title: str
    across: str
    up: str
    lines: tuple[Line, ...]
    note: str = ""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Counts of pairs, such as true class and found class.

    Attributes:
        title: What it shows.
        down: What the rows are.
        across: What the columns are.
        rows: Name of each row.
        columns: Name of each column.
        counts: Rows of counts.
        note: How to read it; may be empty.
    """

    title: str
    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Check the number of counts.

        Raises:
            PluginError: they do not fit the names.
        """
        shape = [len(row) for row in self.counts]
        if shape != [len(self.columns)] * len(self.rows):
            raise PluginError(
                f"details: matrix {self.title!r} has {len(self.rows)} x {len(self.columns)} names, but its "
                f"{len(shape)} rows hold {sorted(set(shape))} counts; give one count per pair."
            )


@dataclass(frozen=True)
class Mistakes:
    """How wrong one image is.

    Attributes:
        image_id: The image.
        missed: Objects that were not found.
        false: Results without an object.
        confused: Objects that were found as something else.
    """

    image_id: int
    missed: int
    false: int
    confused: int = 0

    @property
    def total(self) -> int:
        """All mistakes."""
        return self.missed + self.false + self.confused


@dataclass(frozen=True)
class Details:
    """All that an evaluator tells; every part may be empty.

    Attributes:
        tables: Tables, in the order in which they are shown.
        charts: Charts.
        matrices: Matrices.
        mistakes: Images with at least one mistake, worst first.
    """

    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    mistakes: tuple[Mistakes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Details":
        """Build details from what ``to_json`` returned, also with null for NaN, as files have it."""
        charts = [{**c, "lines": tuple(Line.from_json(line) for line in c["lines"])} for c in data["charts"]]
        return cls(
            tables=tuple(Table(**_frozen(table)) for table in data["tables"]),
            charts=tuple(Chart(**chart) for chart in charts),
            matrices=tuple(Matrix(**_frozen(matrix)) for matrix in data["matrices"]),
            mistakes=tuple(Mistakes(**image) for image in data["mistakes"]),
        )


def _frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list | tuple) else value
