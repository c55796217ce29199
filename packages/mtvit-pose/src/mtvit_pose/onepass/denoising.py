"""The reader learns keypoints from boxes near people; see ``mtvit_core.losses.denoising``.

All three terms are means over the noised boxes of a person, summed over depths / people:

    denoising_box       2 (1 - GIoU) + 5 L1 of the corrected box
    denoising_keypoint  distance and 1 - OKS of the keypoints in it
    denoising_quality   cross-entropy of the OKS that it expects
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.heads.roi_cascade import BoundCascade
from mtvit_core.losses.denoising import NOISED, noised_box_loss, noised_boxes, noised_weight
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.head import points_in
from mtvit_pose.onepass.pairs import with_owners
from mtvit_pose.onepass.targets import PoseTargets


def noised_losses(
    reading: BoundCascade, targets: PoseTargets, scale: Float[Tensor, " 2"], config: PoseConfig
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms; 0 where nothing is labelled.

    Args:
        reading: The reader and the patches.
        targets: People.
        scale: Columns and rows of the canvas.
        config: Weights of the terms among each other.
    """
    boxes, said = reading.of(noised_boxes(targets.boxes))
    offsets = said[..., : 2 * targets.known.shape[-1]]
    people = torch.arange(targets.valid.shape[1], device=boxes.device).repeat_interleave(NOISED)
    pairs = with_owners(boxes, points_in(boxes, offsets), targets, people.expand(boxes.shape[:3]), scale)
    error, posed = pairs.keypoint_error(config), noised_weight(targets.posed)
    expected = pairs.oks().detach()
    quality = F.binary_cross_entropy_with_logits(said[..., -1], expected, reduction="none")
    return {
        "denoising_box": noised_box_loss(boxes, targets.boxes, noised_weight(targets.valid)),
        "denoising_keypoint": (error * posed).sum(),
        "denoising_quality": config.loss_quality * (quality * posed).sum(),
    }
