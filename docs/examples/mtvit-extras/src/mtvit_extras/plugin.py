"""The entry point ``extras``. It imports its classes only when asked, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core import hookimpl

if TYPE_CHECKING:
    from mtvit_core import Reader, Transform, Weighting


@hookimpl
def mtvit_readers() -> "list[type[Reader[Any]]]":
    """Return the reader of CSV files."""
    from mtvit_extras.csv_boxes import CsvBoxes

    return [CsvBoxes]


@hookimpl
def mtvit_transforms() -> "list[type[Transform[Any]]]":
    """Return the greyscale transform."""
    from mtvit_extras.greyscale import Greyscale

    return [Greyscale]


@hookimpl
def mtvit_weightings() -> "list[type[Weighting[Any]]]":
    """Return the impartial weighting."""
    from mtvit_extras.impartial import Impartial

    return [Impartial]
