"""One class for every pixel from the queries of the last layer.

score_c(p) = sum_q p_q(c) s_q(p),  label(p) = argmax_c score_c(p)         (Cheng et al. 2021, section 3.4)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.framing import ImageMeta
from mtvit_seg.decoding.instances import class_scores
from mtvit_seg.decoding.resize import BUDGET
from mtvit_seg.head import SegPredictions


def semantic_scores(predictions: SegPredictions, image: int, budget: int = BUDGET) -> Float[Tensor, "C H W"]:
    """Return the score of every class at every pixel of the canvas.

    Args:
        predictions: Of the last layer.
        image: Which image of the batch.
        budget: Bytes that the upscaled masks of one step may take; at least one mask is done.
    """
    scores, masks = class_scores(predictions)[image], predictions.mask_logits[-1, image]
    rows, columns = predictions.canvas
    total = masks.new_zeros(scores.shape[-1], rows, columns)
    each = max(1, budget // (4 * rows * columns))
    for weight, logits in zip(torch.split(scores, each), torch.split(masks, each), strict=True):
        inside = F.interpolate(logits[None], size=(rows, columns), mode="bilinear", align_corners=False)[0]
        total += torch.einsum("qc,qhw->chw", weight, inside.sigmoid())
    return total


def decode_semantic(
    predictions: SegPredictions, meta: Sequence[ImageMeta], budget: int = BUDGET
) -> list[Int64[Tensor, "H W"]]:
    """Return the label of every pixel of every original image.

    Args:
        predictions: Of the last layer.
        meta: One entry per image.
        budget: Bytes that the resized masks or scores of one step may take.
    """
    return [best_class(semantic_scores(predictions, i, budget), at, budget) for i, at in enumerate(meta)]


def best_class(scores: Float[Tensor, "C H W"], at: ImageMeta, budget: int) -> Int64[Tensor, "H2 W2"]:
    """Resize the scores to the original image, a few classes at a time, and keep the best."""
    best = scores.new_full((at.height, at.width), -torch.inf)
    label = torch.zeros_like(best, dtype=torch.int64)
    start = 0
    for part in torch.split(scores, max(1, budget // (4 * at.height * at.width))):
        value, index = at.masks_to_original(part).max(0)
        label = torch.where(value > best, index + start, label)
        best = torch.maximum(value, best)
        start += len(part)
    return label.cpu()
