"""What a query's box says about its mask.

    u = 2 (x - c_x) / w,  v = 2 (y - c_y) / h, both clamped to [-3, 3]
    prior(u, v) = g_0 + g_1 u + g_2 v + g_3 u^2 + g_4 v^2 + g_5 u v

With g = (s, 0, 0, -s, -s, 0) it is positive in the ellipse that touches the box. Each query corrects its g.
Positions relative to the object are what separates neighbours of one class (Tian et al. 2020, CondInst,
section 3.1); the quadratic form is ours.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: Distance from the centre, in half sides of the box, from which the prior stays constant.
REACH = 3.0


class BoxPrior(nn.Module):
    """A quadratic form around every query's box."""

    start: Tensor

    def __init__(self, width: int, sharpness: float) -> None:
        """Start as the same ellipse for every query.

        Args:
            width: Token width D.
            sharpness: Logit at the centre of the box.
        """
        super().__init__()
        self.shape = nn.Linear(width, 6)
        nn.init.zeros_(self.shape.weight)
        nn.init.zeros_(self.shape.bias)
        ellipse = torch.tensor([1.0, 0.0, 0.0, -1.0, -1.0, 0.0])
        self.register_buffer("start", sharpness * ellipse, persistent=False)

    def forward(
        self, queries: Float[Tensor, "L B Q D"], boxes: Float[Tensor, "L B Q 4"], size: tuple[int, int]
    ) -> Float[Tensor, "L B Q h w"]:
        """Evaluate every query's form on a map.

        Args:
            queries: Query tokens.
            boxes: Their boxes cx cy w h relative to the canvas.
            size: Rows and columns of the map.
        """
        g = (self.start + self.shape(queries)).float()
        u = _offsets(boxes[..., 0], boxes[..., 2], size[1])
        v = _offsets(boxes[..., 1], boxes[..., 3], size[0])
        along = g[..., 1, None] * u + g[..., 3, None] * u**2
        down = g[..., 0, None] + g[..., 2, None] * v + g[..., 4, None] * v**2
        # Three outer products: down x 1 + 1 x along + g_5 v x u.
        rows = torch.stack([down, torch.ones_like(v), g[..., 5, None] * v], -1)
        columns = torch.stack([torch.ones_like(u), along, u], -2)
        return rows @ columns


def _offsets(
    centre: Float[Tensor, "L B Q"], side: Float[Tensor, "L B Q"], count: int
) -> Float[Tensor, "L B Q w"]:
    places = (torch.arange(count, device=centre.device, dtype=centre.dtype) + 0.5) / count
    half = side[..., None].clamp(min=1e-3) / 2
    return ((places - centre[..., None]) / half).clamp(-REACH, REACH)
