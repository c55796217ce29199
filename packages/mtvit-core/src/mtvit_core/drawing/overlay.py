"""A picture with masks, boxes, skeletons and tags laid over it, smooth at any size of image."""

import math

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from mtvit_core.drawing.palette import Colour, text_colour

#: Images whose longer side is shorter are enlarged by a whole factor before drawing.
CRISP_SIDE = 512
#: Pictures of at most this many pixels are drawn at twice their size and shrunk, which smooths the lines.
_SMOOTH_PIXELS = 4_000_000
#: Laid under lines, so that they stand out from a ground of their own colour.
_SHADE = (0, 0, 0, 130)
Rectangle = tuple[float, float, float, float]
Point = tuple[float, float]


class Overlay:
    """Draws in coordinates of the image; ``picture`` returns the result.

    Lengths called *unit* are in pixels of the drawing layer: one unit is 1/512 of the picture's longer side.
    """

    def __init__(self, image: Image.Image) -> None:
        """Start with an RGB image."""
        self._scale = math.ceil(CRISP_SIDE / max(image.size))
        size = (image.width * self._scale, image.height * self._scale)
        self._ground = image.resize(size, Image.Resampling.BICUBIC)
        self._detail = 2 if size[0] * size[1] <= _SMOOTH_PIXELS else 1
        self._layer = Image.new("RGBA", (size[0] * self._detail, size[1] * self._detail))
        self._pen = ImageDraw.Draw(self._layer)
        self._unit = max(self._layer.size) / CRISP_SIDE
        self._fonts = [typeface(size * self._unit) for size in (10, 7.5)]
        self._tags: list[Rectangle] = []

    def picture(self) -> Image.Image:
        """Return the picture with all that was drawn."""
        layer = self._layer.reduce(self._detail)
        return Image.alpha_composite(self._ground.convert("RGBA"), layer).convert("RGB")

    def mask(self, mask: Bool[ndarray, "H W"], colour: Colour, strength: float = 0.35) -> None:
        """Tint the pixels of a mask and draw its outline."""
        plane = Image.fromarray(mask.astype(np.uint8) * 255)
        bounds = plane.getbbox()
        if bounds is None:
            return
        line = max(1, round(0.8 * self._unit / self._detail))
        part = ImageOps.expand(plane.crop(bounds), border=line, fill=0)
        corner = ((bounds[0] - line) * self._scale, (bounds[1] - line) * self._scale)
        if self._scale > 1:
            size = (part.width * self._scale, part.height * self._scale)
            part = part.resize(size, Image.Resampling.BICUBIC).point([255 * (v > 127) for v in range(256)])
        inner = part
        for _ in range(line):  # small filters in a row are faster than a large one, and the same
            inner = inner.filter(ImageFilter.MinFilter(3))
        outline = Image.fromarray(np.asarray(part) - np.asarray(inner))
        self._ground.paste(colour, corner, inner.point([round(strength * v) for v in range(256)]))
        self._ground.paste(colour, corner, outline.filter(ImageFilter.BoxBlur(0.5)))

    def box(self, box: Rectangle, colour: Colour) -> None:
        """Draw the outline of a box x0 y0 x1 y1."""
        x0, y0, x1, y1 = self._on_layer(box)
        width, shade = max(1, round(1.5 * self._unit)), max(1, round(0.6 * self._unit))
        edges = (x0 - shade, y0 - shade, x1 + shade, y1 + shade)
        self._pen.rounded_rectangle(edges, 2 * self._unit, outline=_SHADE, width=width + 2 * shade)
        self._pen.rounded_rectangle((x0, y0, x1, y1), 2 * self._unit, outline=colour, width=width)

    def bone(self, start: Point, end: Point, colour: Colour, size: float) -> None:
        """Draw a line between two joints of an object that is ``size`` pixels of the image long."""
        width = self._limb(size)
        ends = [(x * self._factor, y * self._factor) for x, y in (start, end)]
        self._pen.line(ends, fill=_SHADE, width=round(width + self._unit))
        self._pen.line(ends, fill=colour, width=round(width))

    def joint(self, point: Point, colour: Colour, size: float, filled: bool) -> None:
        """Draw a joint of an object of this size; as a ring where it is inferred, not seen."""
        radius = 0.9 * self._limb(size)
        centre = (point[0] * self._factor, point[1] * self._factor)
        self._pen.circle(centre, radius + 0.6 * self._unit, fill=(0, 0, 0, 200))
        self._pen.circle(centre, radius, fill=colour)
        if not filled:
            self._pen.circle(centre, 0.55 * radius, fill=(20, 20, 20))

    def tag(self, text: str, box: Rectangle, colour: Colour) -> None:
        """Write a name at a box, smaller at a narrow one, where it hides other names least."""
        pad = 2 * self._unit
        place = self._on_layer(box)
        large, small = self._fonts
        font = large if large.getlength(text) <= place[2] - place[0] else small
        ascent, descent = font.getmetrics()
        width, height = font.getlength(text) + 2 * pad, ascent + descent + 0.4 * pad
        x, y = self._place(place, width, height)
        self._tags.append((x, y, x + width, y + height))
        self._pen.rounded_rectangle((x, y, x + width, y + height), 2 * self._unit, fill=(*colour, 225))
        self._pen.text((x + pad, y + 0.2 * pad + ascent), text, text_colour(colour), font, anchor="ls")

    def _limb(self, size: float) -> float:
        """Width of bones: a share of the object's size, neither hair nor beam."""
        return min(max(0.012 * size * self._factor, 0.9 * self._unit), 2.6 * self._unit)

    @property
    def _factor(self) -> float:
        return float(self._scale * self._detail)

    def _on_layer(self, box: Rectangle) -> Rectangle:
        x0, y0, x1, y1 = (value * self._factor for value in box)
        return x0, y0, max(x0, x1), max(y0, y1)

    def _place(self, box: Rectangle, width: float, height: float) -> Point:
        x0, y0, x1, y1 = box
        wishes = [
            (x0, y0 - height),
            (x0, y0),
            (x1 - width, y0 - height),
            (x0, y1),
            (x1 - width, y1),
            (x1 - width, y0),
            (x0, y1 - height),
        ]
        limit_x, limit_y = self._layer.width - width, self._layer.height - height
        places = [(max(0.0, min(x, limit_x)), max(0.0, min(y, limit_y))) for x, y in wishes]
        return min(places, key=lambda place: sum(_shared(place, width, height, tag) for tag in self._tags))


def typeface(size: float) -> ImageFont.FreeTypeFont:
    """Return the font that comes with Pillow; ``size`` in pixels."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _shared(place: Point, width: float, height: float, other: Rectangle) -> float:
    """Area that a tag at a place would share with another one."""
    x, y = place
    across = min(x + width, other[2]) - max(x, other[0])
    down = min(y + height, other[3]) - max(y, other[1])
    return max(0.0, across) * max(0.0, down)
