"""What lies inside a box, read from the patch tokens on a grid of the box's own size.

    cells   U: every patch token gives 4 x 4 cells of a few channels
    region  r_q = W_2 GELU(W_1 flatten(U(p_ij))),  p_ij the centres of a G x G grid over box q
    loss    cross-entropy over classes of r_q, for all queries whose box overlaps an object by IoU > 0.5

A reader that sees every object at one size need not learn each class anew at every size and place, and
learns from all the queries on an object, where one-to-one matching teaches one. Reading by bilinear
interpolation: He et al. 2017 (Mask R-CNN, section 3, RoIAlign), here with one point per cell of the grid.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.heads.mlp import Hidden
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy

#: Cells of a patch along one side, and channels of a cell.
CELLS, CHANNELS = 4, 16
#: Points of a box along one side.
GRID = 7
#: Overlap from which a query learns the class of an object.
ON_OBJECT = 0.5


class PatchCells(nn.Module):
    """Cuts every patch into cells."""

    def __init__(self, width: int) -> None:
        """Draw the layer.

        Args:
            width: Token width D.
        """
        super().__init__()
        self.cut = Hidden(width, CHANNELS * CELLS * CELLS)

    def forward(self, patches: Float[Tensor, "B D h w"]) -> Float[Tensor, "B h2 w2 D2"]:
        """Cut: a transposed convolution as one product, which is faster on a CPU."""
        images, _, rows, columns = patches.shape
        cut: Tensor = self.cut(patches.permute(0, 2, 3, 1))
        cut = cut.view(images, rows, columns, CHANNELS, CELLS, CELLS)
        return cut.permute(0, 1, 4, 2, 5, 3).reshape(images, rows * CELLS, columns * CELLS, CHANNELS)


class RoIReader(nn.Module):
    """Reads a grid of points inside each box."""

    def __init__(self, width: int, outputs: int) -> None:
        """Draw the layers, the last of zeros: an untrained reader says zero.

        Args:
            width: Token width D.
            outputs: Numbers O to say of each box.
        """
        super().__init__()
        self.join = Hidden(CHANNELS * GRID * GRID, width)
        self.say = nn.Linear(width, outputs)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)

    def forward(
        self, cells: Float[Tensor, "B h2 w2 D2"], boxes: Float[Tensor, "B Q 4"]
    ) -> Float[Tensor, "B Q O"]:
        """Read boxes cx cy w h, relative to the canvas; no gradient flows into them."""
        axis = (torch.arange(GRID, device=boxes.device, dtype=boxes.dtype) + 0.5) / GRID - 0.5
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)
        boxes = boxes.detach()[:, :, None]
        image = torch.arange(cells.shape[0], device=cells.device)
        read = at_places(cells, boxes[..., :2] + boxes[..., 2:] * grid, image)
        flat = read.transpose(2, 3).flatten(2)
        return self.say(F.gelu(self.join(flat)))  # type: ignore[no-any-return]  # modules are untyped


def at_places(
    cells: Float[Tensor, "B h w D"], places: Float[Tensor, "rows Q P 2"], image: Int64[Tensor, " rows"]
) -> Float[Tensor, "rows Q P D"]:
    """Read maps bilinearly, their border going on outside.

    Channels are laid together, so that one sum of four rows reads a point: on a CPU six times as fast as
    ``grid_sample``, which wants them apart, and five times as fast as that sum where they are apart.

    Args:
        cells: The maps.
        places: x y relative to a map; no gradient flows into them.
        image: The map that each row of places reads.
    """
    rows, columns, channels = cells.shape[1:]
    limit = places.new_tensor([columns - 1, rows - 1])
    at = (places * (limit + 1) - 0.5).clamp(min=0).minimum(limit)
    low = at.floor().minimum((limit - 1).clamp(min=0))
    right, down = (at - low).unbind(-1)
    share = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], -1)
    column, row = low.long().unbind(-1)
    first = (image[:, None, None] * rows + row) * columns + column
    # A map of one row or column has no next one; its share is 0.
    step_x, step_y = int(columns > 1), columns * int(rows > 1)
    flat = cells.reshape(-1, channels)
    if torch.compiler.is_compiling():  # in ONNX a bag of rows becomes a loop over all bags
        steps = (0, step_x, step_y, step_y + step_x)
        parts = (
            flat[first + step] * part[..., None] for step, part in zip(steps, share.unbind(-1), strict=True)
        )
        return sum(parts, start=flat.new_zeros(()))
    rows_to_sum = torch.stack([first, first + step_x, first + step_y, first + step_y + step_x], -1)
    read = F.embedding_bag(
        rows_to_sum.flatten(0, 2),
        flat.contiguous(),
        per_sample_weights=share.flatten(0, 2).to(cells.dtype),
        mode="sum",
    )
    return read.view(*places.shape[:3], channels)


def region_class_loss(
    logits: Float[Tensor, "L B Q C"],
    boxes: Float[Tensor, "L B Q 4"],
    labels: Int64[Tensor, "B M"],
    truth: Float[Tensor, "B M 4"],
    valid: Bool[Tensor, "B M"],
) -> Float[Tensor, ""]:
    """Cross-entropy of what regions show: mean over an object's queries, summed over objects / their number.

    Args:
        logits: What readers say of each query's box.
        boxes: The boxes, cx cy w h relative to the canvas.
        labels: Class of each object.
        truth: Objects, cx cy w h relative to the canvas.
        valid: Which of the padded objects exist and are labelled.
    """
    tie, objects = logits.sum() * 0, shared_count(valid.sum())
    if not truth.shape[1]:
        return tie
    with torch.no_grad():
        overlap = box_iou(cxcywh_to_xyxy(boxes)[:, :, :, None], cxcywh_to_xyxy(truth)[None, :, None])
        best, object_ = (overlap * valid[None, :, None]).max(-1)
        on_object = (best > ON_OBJECT).to(logits.dtype)
        queries = torch.zeros_like(overlap[:, :, 0]).scatter_add_(2, object_, on_object)  # L B M
        weight = on_object / queries.gather(2, object_).clamp(min=1)
        wanted = labels[None].expand(len(boxes), -1, -1).gather(2, object_)
    entropy = F.cross_entropy(logits.flatten(0, 2), wanted.flatten(), reduction="none").view_as(best)
    return (entropy * weight).sum() / objects + tie
