"""What lies in a query's box says about its mask.

    u = 2 (x - c_x) / w,  v = 2 (y - c_y) / h, both clamped to [-3, 3]
    prior(u, v) = s (1 - u^2 - v^2) + sum_ij M_ij hat_i(v) hat_j(u)

The first part is positive in the ellipse that touches the box. M holds G x G logits on the centres of as many
cells of the box, which a reader of the box says; hat_i are the weights of linear interpolation between them.
A shape relative to its box is the same at every size and place (He et al. 2017, Mask R-CNN, section 3).
"""

import torch
from jaxtyping import Float
from torch import Tensor

#: Distance from the centre, in half sides of the box, from which the prior stays constant.
REACH = 3.0
#: Cells G of a box along one side.
SHAPE = 14


def shape_axis(like: Tensor) -> Float[Tensor, " G"]:
    """Centres of the cells, in half sides of the box from its centre."""
    return (torch.arange(SHAPE, device=like.device, dtype=like.dtype) + 0.5) * 2 / SHAPE - 1


def shape_logits(shapes: Float[Tensor, "*any G2"], sharpness: float) -> Float[Tensor, "*any G2"]:
    """Logits at the centres of the cells, the ellipse included, G2 = G G, row-major."""
    square = shape_axis(shapes).square()
    return shapes + sharpness * (1 - square[:, None] - square).flatten()


def box_prior(
    shapes: Float[Tensor, "L B Q G2"],
    boxes: Float[Tensor, "L B Q 4"],
    size: tuple[int, int],
    sharpness: float,
) -> Float[Tensor, "L B Q h w"]:
    """Evaluate every query's prior on a map.

    Args:
        shapes: M of every query, row-major.
        boxes: Their boxes cx cy w h relative to the canvas.
        size: Rows and columns of the map.
        sharpness: Logit s of the ellipse at the centre of a box.
    """
    u = _offsets(boxes[..., 0], boxes[..., 2], size[1])
    v = _offsets(boxes[..., 1], boxes[..., 3], size[0])
    # The ellipse is a sum of two outer products: (s - s v^2) x 1 + 1 x (-s u^2).
    inside = _hats(v) @ shapes.view(*shapes.shape[:-1], SHAPE, SHAPE)
    rows = torch.cat([inside, (sharpness * (1 - v.square()))[..., None], torch.ones_like(v)[..., None]], -1)
    columns = torch.cat([_hats(u), torch.ones_like(u)[..., None], (-sharpness * u.square())[..., None]], -1)
    return rows @ columns.transpose(-1, -2)


def _hats(offsets: Float[Tensor, "*any"]) -> Float[Tensor, "*any G"]:
    at = ((offsets.clamp(-1, 1) + 1) * SHAPE / 2 - 0.5).clamp(0, SHAPE - 1)
    cell = torch.arange(SHAPE, device=offsets.device, dtype=offsets.dtype)
    return (1 - (at[..., None] - cell).abs()).clamp(min=0)


def _offsets(
    centre: Float[Tensor, "L B Q"], side: Float[Tensor, "L B Q"], count: int
) -> Float[Tensor, "L B Q w"]:
    places = (torch.arange(count, device=centre.device, dtype=centre.dtype) + 0.5) / count
    half = side[..., None].clamp(min=1e-3) / 2
    return ((places - centre[..., None]) / half).clamp(-REACH, REACH)
