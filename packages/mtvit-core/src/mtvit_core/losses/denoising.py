"""Readers of boxes learn from boxes near the truth as well, long before the model finds any.

    noised   b_j = deltas(n_j) applied to the true box,  j = 1..J
    box      2 (1 - GIoU) + 5 L1 of what the reader makes of b_j, from the true box
    class    cross-entropy of what it says of that

Means over the J boxes of an object, summed over depths and objects / number of objects. There are no tokens
for them, so they cost no attention and need no mask. The noises of an object are spread evenly, from a
start that its own box gives: no two objects share them (a reader learns a few fixed ones by heart), yet they
are the same in every pass, and losses need no random numbers.

Sources: Li et al. 2022 (DN-DETR, section 4), whose noised boxes are queries; Roberts 2018 (the sequence that
spreads points evenly).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.box_regression import proposal_box_loss
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.structures.boxes import apply_deltas

#: Boxes J near each object.
NOISED = 8
#: Largest shift relative to the box's size and largest log of the ratio of sizes, for the last of them; for
#: the first they are a J-th of it.
SHIFT, STRETCH = 0.35, 0.5
#: Turns a box into the start of its sequence: large, and no whole number, for boxes that lie on whole pixels.
START = 997.3


def noised_boxes(truth: Float[Tensor, "B M 4"]) -> Float[Tensor, "B M2 4"]:
    """Return J boxes near each object, those of an object next to each other: M2 = M J."""
    number = torch.arange(1, NOISED + 1, device=truth.device, dtype=truth.dtype)
    # 1 / root of x^5 = x + 1 to the powers 1 to 4: the steps of the sequence in four dimensions.
    steps = 1.1673039782614187 ** -torch.arange(1, 5, device=truth.device, dtype=truth.dtype)
    even = (number[:, None] * steps + START * truth[:, :, None]) % 1
    growing = (number / NOISED)[:, None] * truth.new_tensor([SHIFT, SHIFT, STRETCH, STRETCH])
    near = apply_deltas(truth[:, :, None].expand_as(even), growing * (2 * even - 1))
    return near.flatten(1, 2)


def denoising_losses(
    boxes: Float[Tensor, "L B M2 4"],
    logits: Float[Tensor, "L B M2 C"],
    labels: Int64[Tensor, "B M"],
    truth: Float[Tensor, "B M 4"],
    valid: Bool[Tensor, "B M"],
) -> dict[str, Float[Tensor, ""]]:
    """Teach a reader of classes.

    Args:
        boxes: What the reader made of the noised boxes.
        logits: What it says of their classes.
        labels: Class of each object.
        truth: Objects, cx cy w h relative to the canvas.
        valid: Which of the padded objects exist and are labelled.

    Returns:
        ``denoising_box`` and ``denoising_class``; 0 where nothing is labelled.
    """
    weight = noised_weight(valid)
    wanted = labels.repeat_interleave(NOISED, 1).expand(logits.shape[:3])
    entropy = F.cross_entropy(logits.flatten(0, 2), wanted.flatten(), reduction="none").view_as(wanted)
    return {
        "denoising_box": noised_box_loss(boxes, truth, weight),
        "denoising_class": (entropy * weight).sum(),
    }


def noised_weight(counted: Bool[Tensor, "B M"]) -> Float[Tensor, "B M2"]:
    """Return the weight of each noised box: 1 / (J * number of objects that count), 0 for others."""
    return (counted / (NOISED * shared_count(counted.sum()))).repeat_interleave(NOISED, 1)


def noised_box_loss(
    boxes: Float[Tensor, "L B M2 4"], truth: Float[Tensor, "B M 4"], weight: Float[Tensor, "B M2"]
) -> Float[Tensor, ""]:
    """Weighted sum of 2 (1 - GIoU) + 5 L1, summed over depths.

    Args:
        boxes: What a reader made of the noised boxes.
        truth: Objects, cx cy w h relative to the canvas.
        weight: Of each noised box.
    """
    wanted = truth.repeat_interleave(NOISED, 1).expand_as(boxes)
    return (proposal_box_loss(boxes.flatten(0, 1), wanted.flatten(0, 1)).view(boxes.shape[:3]) * weight).sum()
