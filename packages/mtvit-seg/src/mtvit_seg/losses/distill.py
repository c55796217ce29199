"""What segmentation learns from a teacher of any variant.

Class, box and proposals are those of ``mtvit_core.losses.distillation``. With the teacher's probability
t of a pixel and the student's s(x), over all pixels of the student's map and weighted by s_m:

    mask   mean KL(t || s(x))
    dice   1 - (2 sum s(x) t + 1) / (sum s(x)^2 + sum t^2 + 1)

Squares make the dice term least, and 0, at the teacher's own mask (Milletari et al. 2016, section 3).
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.distillation import SoftObjects, binary_divergence, soft_objects
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_seg.decoding.extent import mask_boxes
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.targets import map_size


@dataclass(frozen=True)
class SegLesson:
    """What a teacher of segmentation says.

    Attributes:
        objects: Classes and boxes; those of EoMT are the boxes of its masks.
        masks: Probability of every pixel of the teacher's map; arbitrary in padding.
    """

    objects: SoftObjects
    masks: Float[Tensor, "B M h w"]

    def on_map(self, size: tuple[int, int]) -> Float[Tensor, "B M h2 w2"]:
        """Return the masks on a map of this size."""
        if map_size(self.masks) == size:
            return self.masks
        if not self.masks.numel():
            return self.masks.new_zeros(*self.masks.shape[:2], *size)
        return F.interpolate(self.masks, size=size, mode="bilinear", align_corners=False)


@torch.no_grad()
def picked_lesson(predictions: SegPredictions) -> SegLesson:
    """Return the objects that a teacher with picked queries finds; the last layer counts."""
    assert predictions.boxes is not None
    objects = soft_objects(predictions.probabilities, predictions.boxes[-1], predictions.pick)
    return SegLesson(objects, objects.of_queries(predictions.mask_logits[-1]).sigmoid())


@torch.no_grad()
def eomt_lesson(predictions: SegPredictions) -> SegLesson:
    """Return the objects that a teacher with learned queries finds; the last layer counts."""
    probabilities = predictions.probabilities[..., :-1]
    blank = probabilities.new_zeros(*probabilities.shape[:2], 4)
    objects = soft_objects(probabilities, blank, None)
    masks = objects.of_queries(predictions.mask_logits[-1])
    size = masks.new_tensor([masks.shape[3], masks.shape[2]]).repeat(2)
    corners = mask_boxes((masks > 0).flatten(0, 1)).view(*masks.shape[:2], 4)
    return SegLesson(replace(objects, boxes=xyxy_to_cxcywh(corners / size)), masks.sigmoid())


def soft_values(
    masks: Float[Tensor, "L B Q h w"], lesson: SegLesson, points: int
) -> tuple[Float[Tensor, "L B Q P"], Float[Tensor, "B M P"]]:
    """Return the student's logits and the teacher's probabilities, by which they are matched.

    Args:
        masks: Mask logits of the student.
        lesson: The teacher's objects.
        points: Most pixels of a mask; larger maps are shrunk.
    """
    whole = map_size(masks)
    shrink = max(1.0, math.sqrt(math.prod(whole) / points))
    size = max(1, int(whole[0] / shrink)), max(1, int(whole[1] / shrink))
    if size != whole:
        masks = F.interpolate(masks.flatten(0, 1), size=size, mode="area").view(*masks.shape[:3], *size)
    return masks.flatten(3), lesson.on_map(size).flatten(2)


def soft_mask_losses(
    predictions: SegPredictions, lesson: SegLesson, match: Match
) -> dict[str, Float[Tensor, ""]]:
    """Divergence and dice of matched masks from the teacher's, as it is sure of them, summed over layers."""
    layer, image, slot = match.matched.nonzero(as_tuple=True)
    logits = predictions.mask_logits[layer, image, match.query[layer, image, slot]].flatten(1)
    truth = lesson.on_map(map_size(predictions.mask_logits))[image, slot].flatten(1)
    share = lesson.objects.weight[image, slot] / shared_count(lesson.objects.weight.sum())
    inside = logits.sigmoid()
    squares = inside.square().sum(-1) + truth.square().sum(-1)
    overlap = (2 * (inside * truth).sum(-1) + 1) / (squares + 1)
    divergence = binary_divergence(logits, truth).mean(-1)
    return {"mask": (share * divergence).sum(), "dice": (share * (1 - overlap)).sum()}
