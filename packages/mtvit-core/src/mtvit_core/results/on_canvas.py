"""What tasks say on the canvas, as tensors of a fixed form: the outputs of exported models.

A canvas knows nothing of the image that lies on it. ``Task.from_canvas`` brings what is found here back to
original pixels; so does whoever runs an exported model without mtvit.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class CanvasObjects:
    """Objects of every canvas of a batch, best first, as many for each.

    Attributes:
        boxes: Corners x0 y0 x1 y1 in canvas pixels.
        scores: Confidence in [0, 1]. Where there are masks, that of the class; the score of an object is the
            product with the mean probability inside its mask.
        labels: Class of each, as an index into the categories.
        queries: Query that each was read from.
        canvas: Rows H and columns W of the canvas.
        nms: Of two objects of one class whose boxes overlap by more than this IoU only the better one is a
            result; 1 keeps both.
        masks: Logits of each on a map of the whole canvas; None where the task finds no masks.
        keypoints: x y in canvas pixels, and a score in [0, 1]; None where it finds no keypoints.
        mask_threshold: Logit above which a pixel belongs to a mask.
    """

    boxes: Float[Tensor, "B M 4"]
    scores: Float[Tensor, "B M"]
    labels: Int64[Tensor, "B M"]
    queries: Int64[Tensor, "B M"]
    canvas: tuple[int, int]
    nms: float = 1.0
    masks: Float[Tensor, "B M h w"] | None = None
    keypoints: Float[Tensor, "B M K 3"] | None = None
    mask_threshold: float = 0.0


@dataclass(frozen=True)
class CanvasLabels:
    """Confidence in [0, 1] of every category for whole images."""

    scores: Float[Tensor, "B C"]


@dataclass(frozen=True)
class CanvasMap:
    """Numbers of every pixel of the canvas.

    Attributes:
        values: The numbers.
        channels: Name of each channel.
    """

    values: Float[Tensor, "B C H W"]
    channels: tuple[str, ...]


#: What ``Task.on_canvas`` returns.
OnCanvas: TypeAlias = CanvasObjects | CanvasLabels | CanvasMap
