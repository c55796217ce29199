"""Box formats and overlaps.

IoU = I / U and GIoU = I / U - (E - U) / E, with intersection I, union U and smallest enclosing box E
(Rezatofighi et al. 2019, Alg. 1).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def cxcywh_to_xyxy(boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any 4"]:
    """Turn centre and size into corners, in the same unit."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def xyxy_to_cxcywh(boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any 4"]:
    """Turn corners into centre and size, in the same unit."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def box_area(boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Area of xyxy boxes; a box with reversed corners has area 0."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def _overlap(
    a: Float[Tensor, "*#any 4"], b: Float[Tensor, "*#any 4"]
) -> tuple[Float[Tensor, "*#any"], Float[Tensor, "*#any"]]:
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (high - low).clamp(min=0).prod(-1)
    return intersection, box_area(a) + box_area(b) - intersection


def box_iou(a: Float[Tensor, "*#any 4"], b: Float[Tensor, "*#any 4"]) -> Float[Tensor, "*#any"]:
    """Intersection over union of xyxy boxes, broadcast; two boxes without area give 0."""
    intersection, union = _overlap(a, b)
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)


def generalized_box_iou(a: Float[Tensor, "*#any 4"], b: Float[Tensor, "*#any 4"]) -> Float[Tensor, "*#any"]:
    """Generalised IoU of xyxy boxes, broadcast.

    Args:
        a: Boxes in any unit; reversed corners count as no area.
        b: Boxes in the same unit.

    Returns:
        Values in [-1, 1]; 1 means identical. Two equal boxes without area give 0.

    Source: Rezatofighi et al. 2019, Alg. 1.
    """
    intersection, union = _overlap(a, b)
    tiny = torch.finfo(union.dtype).tiny
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    enclosing = (high - low).clamp(min=0).prod(-1)
    return intersection / union.clamp(min=tiny) - (enclosing - union) / enclosing.clamp(min=tiny)


def apply_deltas(
    reference: Float[Tensor, "*any 4"], deltas: Float[Tensor, "*any 4"]
) -> Float[Tensor, "*any 4"]:
    """Move and scale cxcywh boxes: c = c_ref + d_c * s_ref, s = s_ref * exp(d_s).

    Args:
        reference: Boxes in any unit.
        deltas: Shift relative to the reference's size, and log of the size ratio, limited to +-4.

    Returns:
        Boxes in the unit of the reference.

    Source: Girshick et al. 2014 (R-CNN), appendix C.
    """
    size = reference[..., 2:]
    return torch.cat(
        [reference[..., :2] + deltas[..., :2] * size, size * deltas[..., 2:].clamp(-4, 4).exp()], -1
    )
