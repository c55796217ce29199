"""The box of a mask."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def mask_boxes(masks: Bool[Tensor, "M H W"]) -> Float[Tensor, "M 4"]:
    """Return the tight box x0 y0 x1 y1 of every mask in pixels, on pixel edges; zeros for empty masks."""
    # The greatest byte is found ten times as fast as "any" on a CPU.
    pixels = masks.view(torch.uint8)
    return span_boxes(pixels.amax(1).bool(), pixels.amax(2).bool())


def span_boxes(columns: Bool[Tensor, "M W"], rows: Bool[Tensor, "M H"]) -> Float[Tensor, "M 4"]:
    """Return the boxes x0 y0 x1 y1 of masks from the columns and the rows where they have pixels."""
    (x0, x1), (y0, y1) = _span(columns), _span(rows)
    return torch.stack([x0, y0, x1, y1], 1).float()


def _span(used: Bool[Tensor, "M W"]) -> tuple[Tensor, Tensor]:
    """First and past-the-last index that is used, zeros where none is."""
    count = used.shape[1]
    place = torch.arange(count, device=used.device)
    first = torch.where(used, place, count).amin(1)
    stop = torch.where(used, place + 1, 0).amax(1)
    return first.minimum(stop), stop
