"""The reader learns classes and shapes from boxes near the truth; see ``mtvit_core.losses.denoising``.

The shape is compared with the true mask in the box that the reader made of a noised one:

    mask    BCE and dice of the ellipse and M at the cells of that box, mean over the noised boxes of an
            object, summed over depths and objects / number of objects
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.heads.roi_cascade import BoundCascade
from mtvit_core.losses.denoising import NOISED, denoising_losses, noised_boxes, noised_weight
from mtvit_seg.config import SegConfig
from mtvit_seg.losses.loss import dice
from mtvit_seg.losses.targets import SegTargets
from mtvit_seg.mask_prior import SHAPE, shape_axis, shape_logits


def noised_losses(
    reading: BoundCascade, targets: SegTargets, config: SegConfig
) -> dict[str, Float[Tensor, ""]]:
    """Return ``denoising_box``, ``denoising_class`` and ``denoising_mask``; 0 where nothing is labelled."""
    boxes, said = reading.of(noised_boxes(targets.boxes))
    classes = said.shape[-1] - SHAPE * SHAPE
    of = (targets.labels, targets.boxes, targets.valid)
    terms = denoising_losses(boxes, said[..., :classes], *of)
    truth = masks_in(targets.masks, objects_of(boxes.detach(), targets)).to(said.dtype)
    logits = shape_logits(objects_of(said[..., classes:], targets), config.prior_sharpness)
    weight = objects_of(noised_weight(targets.valid)[None, ..., None], targets)[..., 0]
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(-1)
    error = config.loss_mask * entropy + config.loss_dice * dice(logits, truth)
    return {**terms, "denoising_mask": (error * weight).sum()}


def objects_of(values: Float[Tensor, "L B M2 O"], targets: SegTargets) -> Float[Tensor, "L T J O"]:
    """Pack what noised boxes have, M2 = M J, as the masks are packed."""
    apart = values.reshape(*values.shape[:2], targets.valid.shape[1], NOISED, values.shape[3])
    return apart[:, targets.image, targets.slot]


@torch.no_grad()
def masks_in(masks: Bool[Tensor, "T H W"], boxes: Float[Tensor, "L T J 4"]) -> Bool[Tensor, "L T J G2"]:
    """Read each mask at the cells of boxes, in the pixel below every centre; outside the canvas it is empty.

    Args:
        masks: Masks on the canvas.
        boxes: Boxes of each mask, cx cy w h relative to the canvas.
    """
    rows, columns = masks.shape[-2:]
    axis = shape_axis(boxes) / 2
    x = ((boxes[..., 0, None] + boxes[..., 2, None] * axis) * columns).floor().long()[..., None, :]
    y = ((boxes[..., 1, None] + boxes[..., 3, None] * axis) * rows).floor().long()[..., :, None]
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    mask = torch.arange(len(masks), device=masks.device)[:, None, None, None]
    return (masks[mask, y.clamp(0, rows - 1), x.clamp(0, columns - 1)] & inside).flatten(3)
