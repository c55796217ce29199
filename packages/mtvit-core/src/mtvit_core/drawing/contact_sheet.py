"""Several pictures on one sheet, in rows, with captions."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from mtvit_core.arguments import refuse, shown
from mtvit_core.drawing.overlay import typeface
from mtvit_core.errors import DataError

#: Longer side of a cell at most, in pixels.
_CELL = 640
_GAP = 12
_PAPER = (250, 250, 248)
_INK = (40, 40, 40)


def contact_sheet(pictures: Sequence[Image.Image], columns: int, captions: Sequence[str] = ()) -> Image.Image:
    """Put pictures side by side, row by row; larger ones are shrunk to a common cell.

    Args:
        pictures: At least one.
        columns: Pictures in a row.
        captions: One line under each picture, or none at all.

    Raises:
        DataError: there is no picture, or captions and pictures differ in number.
    """
    for argument, given, kind in (("pictures", pictures, Image.Image), ("captions", captions, str)):
        if not isinstance(given, Sequence) or not all(isinstance(one, kind) for one in given):
            raise refuse(f"contact sheet: {argument}", given, f"a list of {kind.__name__}", DataError)
    if not isinstance(columns, int) or isinstance(columns, bool) or columns < 1:
        raise DataError(f"contact sheet: columns is {shown(columns)}; give a whole number from 1 up.")
    if any(0 in picture.size for picture in pictures):
        raise DataError("contact sheet: a picture has no pixels; leave it out.")
    if not pictures:
        raise DataError("contact sheet: there is no picture to show; choose at least one image.")
    if captions and len(captions) != len(pictures):
        raise DataError(
            f"contact sheet: {len(captions)} captions for {len(pictures)} pictures; give one each, or none."
        )
    cell = _cell(pictures)
    fitted = [_fit(picture, cell) for picture in pictures]
    rows = [range(start, min(start + columns, len(fitted))) for start in range(0, len(fitted), columns)]
    heights = [max(fitted[i].height for i in row) for row in rows]
    font = typeface(15)
    below = _GAP + (sum(font.getmetrics()) if captions else 0)
    width = min(columns, len(fitted)) * (cell[0] + _GAP) + _GAP
    sheet = Image.new("RGB", (width, sum(heights) + len(rows) * below + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            middle = _GAP + column * (cell[0] + _GAP) + cell[0] // 2
            sheet.paste(fitted[i], (middle - fitted[i].width // 2, y))
            if captions:
                pen.text((middle, y + fitted[i].height + 2), captions[i], _INK, font, anchor="ma")
        y += height + below
    return sheet


def _cell(pictures: Sequence[Image.Image]) -> tuple[int, int]:
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    scale = min(1.0, _CELL / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fit(picture: Image.Image, cell: tuple[int, int]) -> Image.Image:
    scale = min(1.0, cell[0] / picture.width, cell[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
