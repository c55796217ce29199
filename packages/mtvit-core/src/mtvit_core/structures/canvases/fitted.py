"""The size that an image takes on a canvas, in whole numbers: the same wherever it is computed."""


def fitted(height: int, width: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of an image that is resized to fit a canvas, its aspect kept.

    Each side is rounded to the nearest pixel, halves to the even one, and is at least one.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        canvas: Rows and columns of the canvas.
    """
    rows, columns = canvas
    # The factor is columns / width or rows / height, whichever is less, as a fraction.
    above, below = (columns, width) if columns * height <= rows * width else (rows, height)
    down, across = (max(1, _ratio(side * above, below)) for side in (height, width))
    return min(rows, down), min(columns, across)


def _ratio(above: int, below: int) -> int:
    whole, rest = divmod(2 * above + below, 2 * below)
    return whole - (rest == 0 and whole % 2)
