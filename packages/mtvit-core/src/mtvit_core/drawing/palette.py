"""Colours of classes and limbs, told apart with common colour blindness too.

The first classes get colours after Okabe and Ito (2008), brightened for photographs; the others walk round
the hue circle of OKLCH (Ottosson 2020) by the golden angle, at three levels of lightness.
"""

import math

Colour = tuple[int, int, int]

_FIRST: tuple[Colour, ...] = (
    (146, 130, 255),  # violet
    (255, 159, 28),  # orange
    (0, 200, 140),  # bluish green
    (235, 84, 150),  # reddish purple
    (250, 225, 60),  # yellow
    (225, 75, 30),  # vermilion
    (110, 205, 250),  # sky blue
    (0, 130, 235),  # blue
)

#: Limbs of the side that a schema's flip pairs name first (left, for people), of the other, in the middle.
LEFT: Colour = (255, 140, 26)
RIGHT: Colour = (40, 214, 255)
MIDDLE: Colour = (240, 240, 232)
#: Objects of a video that have no number.
UNTRACKED: Colour = (165, 165, 172)
#: Ground of what is said of a whole image.
HEADING: Colour = (32, 32, 38)


def class_colour(label: int) -> Colour:
    """Return the colour of a class by its index; the same for every picture."""
    if label < len(_FIRST):
        return _FIRST[label]
    step = label - len(_FIRST)
    hue = math.radians(20 + 137.508 * step)  # the golden angle never repeats a hue
    return _oklch_to_rgb((0.68, 0.82, 0.56)[step % 3], 0.16, hue)


def text_colour(background: Colour) -> Colour:
    """Return black or white, whichever reads better on a background."""
    red, green, blue = ((c / 255) ** 2.2 for c in background)
    # Relative luminance of WCAG 2; at 0.18 both have the same contrast.
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else (255, 255, 255)


def _oklch_to_rgb(lightness: float, chroma: float, hue: float) -> Colour:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return _eight_bits(red), _eight_bits(green), _eight_bits(blue)


def _eight_bits(linear: float) -> int:
    clipped = min(1.0, max(0.0, linear))
    encoded = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
    return round(255 * encoded)
