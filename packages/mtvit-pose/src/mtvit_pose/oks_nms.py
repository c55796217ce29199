"""Non-maximum suppression: of people that resemble each other too much, the best scored one stays.

Resemblance is the OKS of two poses at their mean area. OKS-NMS is that of Xiao et al. 2018 (Simple
Baselines), which ViTPose and TokenPose use too.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_pose.oks import keypoint_similarity


def keep_best(
    resemblance: Float[Tensor, "M M"], scores: Float[Tensor, " M"], threshold: float
) -> Int64[Tensor, " M2"]:
    """Keep, by falling score, whoever does not resemble a kept one by more than ``threshold``.

    Returns:
        Rows to keep, best first.
    """
    close = (resemblance > threshold).cpu()
    kept: list[int] = []
    for row in scores.argsort(descending=True, stable=True).tolist():
        if not close[row, kept].any():
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64, device=scores.device)


def oks_nms(
    points: Float[Tensor, "M K 2"],
    areas: Float[Tensor, " M"],
    scores: Float[Tensor, " M"],
    sigmas: Float[Tensor, " K"],
    threshold: float = 0.9,
) -> Int64[Tensor, " M2"]:
    """Drop poses that resemble a better one; every keypoint counts.

    Args:
        points: x, y in pixels.
        areas: Area of each person's crop or box in square pixels.
        scores: Score of each pose.
        sigmas: COCO's sigma of each keypoint.
        threshold: Largest OKS to a kept pose; 0.9 is ViTPose's and TokenPose's.

    Returns:
        Rows to keep, best first.
    """
    count, keypoints = points.shape[:2]
    similarity = keypoint_similarity(
        points[:, None].expand(count, count, keypoints, 2),
        points[None].expand(count, count, keypoints, 2),
        (areas[:, None] + areas) / 2,
        sigmas.expand(count, count, keypoints),
    )
    return keep_best(similarity.mean(-1), scores, threshold)
