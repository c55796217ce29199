"""Random changes of person crops: moved, half bodies, scaled, turned, mirrored, as ViTPose was trained.

    shift      with p = 0.3, the centre moves by up to 0.2 of the box
    half body  with p = 0.3 where more than 8 joints are labelled: only upper (p = 0.69) or lower ones show
    scale      factor N(1, 0.5) within 0.5 to 1.5
    turn       with p = 0.6, N(0, 40 degrees) within 80 degrees

Source: the code of Xu et al. 2022. There the shift is drawn once for a whole run, here for every sample.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from mtvit_core.structures.canvases.crops import CropRule, Roi, person_roi
from mtvit_core.structures.framing import Affine
from mtvit_core.structures.keypoints import KeypointSchema

#: Padding around the joints of a half body.
HALF_PADDING = 1.5
#: Half bodies need more labelled joints than this, and more than this in the half that is shown.
HALF_LEAST, HALF_SHOWN = 8, 2
_LOWER = ("hip", "knee", "ankle")

Box = tuple[float, float, float, float]


def draw_roi(
    rng: np.random.Generator,
    box: Box,
    keypoints: Float32[ndarray, "K 3"],
    schema: KeypointSchema,
    canvas: tuple[int, int],
    crop: CropRule = "udp",
) -> Roi:
    """Draw what a crop shows of a person.

    Args:
        rng: Random numbers; the same number of draws is taken whatever they are.
        box: x0 y0 x1 y1 in original pixels.
        keypoints: x, y in original pixels and visibility.
        schema: What the keypoints are called.
        canvas: Rows H and columns W of the crop.
        crop: How it lies around the box.
    """
    shift, across, down, half, upper, turn = rng.random(6)
    scale, angle = rng.standard_normal(2)
    if shift < 0.3:
        box = _moved(box, 0.4 * (across - 0.5), 0.4 * (down - 0.5))
    roi = person_roi(box, canvas, rule=crop)
    if half < 0.3:
        roi = _half_body(keypoints, schema, canvas, crop, prefer_upper=bool(upper < 0.69)) or roi
    factor = float(np.clip(1 + 0.5 * scale, 0.5, 1.5))
    degrees = float(np.clip(40 * angle, -80, 80)) if turn < 0.6 else 0.0
    return replace(roi, width=roi.width * factor, height=roi.height * factor, angle=math.radians(degrees))


def _moved(box: Box, across: float, down: float) -> Box:
    x0, y0, x1, y1 = box
    dx, dy = across * (x1 - x0), down * (y1 - y0)
    return x0 + dx, y0 + dy, x1 + dx, y1 + dy


def _half_body(
    keypoints: Float32[ndarray, "K 3"],
    schema: KeypointSchema,
    canvas: tuple[int, int],
    crop: CropRule,
    *,
    prefer_upper: bool,
) -> Roi | None:
    """Show the labelled joints of one half, centred at their mean; None where too few are labelled."""
    known = keypoints[: len(schema.names), 2] > 0
    lower = np.array([name.endswith(_LOWER) for name in schema.names])
    if known.sum() <= HALF_LEAST or not lower.any():
        return None
    halves = [known & ~lower, known & lower]
    for shown in halves if prefer_upper else halves[::-1]:
        if shown.sum() > HALF_SHOWN:
            points = keypoints[: len(schema.names)][shown, :2]
            x, y = points.mean(0).tolist()
            (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
            return replace(person_roi((x0, y0, x1, y1), canvas, HALF_PADDING, crop), x=x, y=y)
    return None


def mirrored(to_original: Affine, canvas: tuple[int, int]) -> Affine:
    """Return the map to the original of a crop that was mirrored left to right after cutting.

    Args:
        to_original: The map of the crop before mirroring.
        canvas: Rows H and columns W of the crop.
    """
    a, b, c, d, e, f = to_original
    last = canvas[1] - 1
    return -a, b, c + a * last, -d, e, f + d * last
