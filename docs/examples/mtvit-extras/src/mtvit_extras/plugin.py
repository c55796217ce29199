"""The entry point ``extras``: what is heavy is imported only when asked for."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.plugins.dataset_reader import Reader
    from mtvit_core.plugins.loss_weighting import Weighting
    from mtvit_core.plugins.sample_transform import Transform


@hookimpl
def mtvit_readers() -> "list[type[Reader[Any]]]":
    """Return the reader of CSV files."""
    from mtvit_extras.csv_boxes import CsvBoxes

    return [CsvBoxes]


@hookimpl
def mtvit_transforms() -> "list[type[Transform[Any]]]":
    """Return the transform to grey."""
    from mtvit_extras.greyscale import Greyscale

    return [Greyscale]


@hookimpl
def mtvit_weightings() -> "list[type[Weighting[Any]]]":
    """Return the impartial weighting."""
    from mtvit_extras.impartial import Impartial

    return [Impartial]
