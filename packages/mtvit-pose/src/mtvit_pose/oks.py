"""Object keypoint similarity: what COCO's keypoint AP calls overlap, as a score and a loss.

OKS = mean over labelled k of exp(-e_k), e_k = d_k^2 / (2 A (2 sigma_k)^2), d_k the distance of keypoint k and
A the area of the person in the truth (pycocotools ``COCOeval.computeOks``).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Sigma of keypoints whose schema gives none: the mean of COCO's seventeen. Only losses use it.
DEFAULT_SIGMA = 0.063


def keypoint_similarity(
    points: Float[Tensor, "*any K 2"],
    truth: Float[Tensor, "*any K 2"],
    areas: Float[Tensor, "*any"],
    sigmas: Float[Tensor, "*any K"],
) -> Float[Tensor, "*any K"]:
    """Similarity exp(-e_k) of each keypoint, elementwise.

    Args:
        points: x, y in pixels.
        truth: x, y in pixels.
        areas: Areas A in square pixels.
        sigmas: COCO's sigma of each keypoint.
    """
    scale = 2 * (areas[..., None] + torch.finfo(torch.float64).eps) * (2 * sigmas) ** 2
    return torch.exp(-((points - truth) ** 2).sum(-1) / scale)


def oks(
    points: Float[Tensor, "*any K 2"],
    truth: Float[Tensor, "*any K 2"],
    labelled: Bool[Tensor, "*any K"],
    areas: Float[Tensor, "*any"],
    sigmas: Float[Tensor, "*any K"],
) -> Float[Tensor, "*any"]:
    """Mean similarity over the labelled keypoints, elementwise; 0 where none is labelled.

    Args:
        points: x, y in pixels.
        truth: x, y in pixels.
        labelled: Keypoints that count.
        areas: Areas A in square pixels.
        sigmas: COCO's sigma of each keypoint.
    """
    return masked_mean(keypoint_similarity(points, truth, areas, sigmas), labelled)


def masked_mean(values: Float[Tensor, "*any K"], mask: Bool[Tensor, "*any K"]) -> Float[Tensor, "*any"]:
    """Mean over the last axis of the values a mask keeps; 0 where it keeps none."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)
