"""Queries picked from the context: every patch proposes a box, the best distinct ones become queries.

    proposal   s_n = class(LN(x_n)),  b_n = deltas(LN(x_n)) applied to an anchor at patch n
    pick       the Q best patches by max_c s_nc that no better patch overlaps by IoU > 0.8
    query      MLP(sine(b_n)) + g
    training   each object teaches its k best-aligned patches: a = p^0.5 IoU^2

Sources: two-stage queries, Zhu et al. 2021 (Deformable DETR, A.4); that they bring their place alone, Zhang
et al. 2022 (DINO, section 3.4); distinct picks, Zhang et al. 2023 (DDQ); alignment, Feng et al. 2021 (TOOD,
eq. 1); weights of the box, Carion et al. 2020 (DETR, A.4). The exponents are ours: gentler ones learn faster
from few steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import nms

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import (
    Context,
    Entry,
    Pick,
    QuerySource,
    TokenGroup,
    Visibility,
    take_rows,
)
from mtvit_core.heads.mlp import MLP
from mtvit_core.heads.nms import unrepeated
from mtvit_core.losses.box_regression import proposal_box_loss
from mtvit_core.losses.classification import quality_focal
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.structures.boxes import apply_deltas, box_iou, cxcywh_to_xyxy

#: Side of the anchor relative to the canvas; sizes from 1/8 to 1/2 lie within a factor of 2 of it.
ANCHOR = 0.25
#: Overlap from which the weaker of two proposals is a duplicate; any threshold of 0.7 to 0.8 works in DDQ.
DUPLICATE_IOU = 0.8
#: Best patches among which distinct ones are searched, for each one to pick: so many at first, which mostly
#: hold enough, else so many.
SEARCHED_FIRST, SEARCHED = 2, 8
#: Patches that each object teaches.
POSITIVES = 6
#: Probability that an untrained patch gives each class; steadies the first steps (Lin et al. 2017, 4.1).
PRIOR = 0.01


@dataclass(frozen=True)
class QueryRequest:
    """Picked queries that a task can read.

    Attributes:
        count: Queries Q.
        enter: Index of the block before which they join.
        layers: Depths at which its head reads them, see ``TokenGroup``.
        labels: Categories that it finds, as indices; the columns of its proposals' logits, in this order.
        visibility: Who sees the queries, see ``TokenGroup``.
    """

    count: int
    enter: int
    layers: tuple[int, ...]
    labels: tuple[int, ...]
    visibility: Visibility = "isolated"


def last_blocks(backbone: BackboneSpec, blocks: int, deep_supervision: bool) -> tuple[int, tuple[int, ...]]:
    """Return the block before which queries of the last blocks join, and the depths to supervise them at.

    Args:
        backbone: For its depth.
        blocks: Blocks to pass; all of them where the backbone has fewer.
        deep_supervision: Whether every one of them is supervised, not only the last.
    """
    enter = max(0, backbone.depth - blocks)
    return enter, tuple(range(enter + 1 if deep_supervision else backbone.depth, backbone.depth + 1))


class PickedQueries(QuerySource):
    """Scores every patch, proposes its box, and turns the best distinct patches into queries."""

    def __init__(self, count: int, width: int, classes: int) -> None:
        """Build the proposal layers.

        Args:
            count: Queries Q to pick; all patches where an image has fewer.
            width: Token width D.
            classes: Classes C that patches are scored for.
        """
        super().__init__()
        self.count = count
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, classes)
        nn.init.constant_(self.score.bias, -math.log((1 - PRIOR) / PRIOR))
        self.box = MLP(width, width, 4, layers=2, zero_last=True)
        self.position = MLP(4 * 32, width, width, layers=2)
        self.group = nn.Parameter(torch.zeros(width))

    def forward(self, context: Context) -> Entry:
        """Propose, pick, and make the tokens, through which no gradient reaches the scores and boxes."""
        pick = self._pick(context)
        return Entry(self.position(sine_embedding(pick.picked_boxes.detach())) + self.group, pick)

    def _pick(self, context: Context) -> Pick:
        x = self.norm(context.patches)
        start = anchors(context.grid, x).expand(x.shape[0], -1, -1)
        logits, count = self.score(x), min(self.count, x.shape[1])
        if context.proposals:
            boxes = apply_deltas(start, self.box(x))
            index, _ = pick_distinct(logits.detach(), partial(take_rows, boxes.detach()), count)
            return Pick.among(logits, boxes, index)

        def boxes_of(patches: Tensor) -> Tensor:
            return apply_deltas(take_rows(start, patches), self.box(take_rows(x, patches))).detach()

        return Pick(logits, *pick_distinct(logits.detach(), boxes_of, count))


def picked_group(name: str, request: QueryRequest, width: int) -> TokenGroup:
    """Return a token group of picked queries.

    Args:
        name: Of the group.
        request: What is wanted of it.
        width: Token width D.
    """
    source = PickedQueries(request.count, width, len(request.labels))
    return TokenGroup(name, request.count, request.enter, source, request.visibility, request.layers)


def anchors(grid: tuple[int, int], like: Tensor) -> Float[Tensor, "N 4"]:
    """Square boxes cx cy w h of side ``ANCHOR`` around every patch centre, canvas 1 x 1, row-major."""
    rows, columns = grid
    y, x = torch.meshgrid(
        (torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5) / rows,
        (torch.arange(columns, device=like.device, dtype=like.dtype) + 0.5) / columns,
        indexing="ij",
    )
    centres = torch.stack([x.flatten(), y.flatten()], -1)
    return torch.cat([centres, torch.full_like(centres, ANCHOR)], -1)


def pick_distinct(
    logits: Float[Tensor, "B N C"],
    boxes_of: Callable[[Int64[Tensor, "B S"]], Float[Tensor, "B S 4"]],
    count: int,
) -> tuple[Int64[Tensor, "B Q"], Float[Tensor, "B Q 4"]]:
    """Return the best patches, those that repeat a better one last.

    Args:
        logits: Class logits of every patch.
        boxes_of: Gives the boxes cx cy w h of some patches.
        count: How many to return, at most N.

    Returns:
        Patch indices, best first, and their boxes.
    """
    # Who repeats a better one is settled among better ones, so the best suffice while enough are distinct.
    most = min(logits.shape[1], SEARCHED * count)
    few = most if torch.compiler.is_compiling() else min(most, SEARCHED_FIRST * count)
    scores, searched = logits.max(-1).values.float().topk(most, 1)
    boxes = boxes_of(searched[:, :few])
    distinct = _distinct(boxes, scores[:, :few])
    if few < most and int(distinct.sum(1).min()) < count:
        boxes = torch.cat([boxes, boxes_of(searched[:, few:])], 1)
        distinct = _distinct(boxes, scores)
    scores = scores[:, : boxes.shape[1]]
    # A duplicate ranks below every distinct patch, whatever its score.
    span = scores.amax(1, keepdim=True) - scores.amin(1, keepdim=True) + 1
    best = torch.where(distinct, scores, scores - span).topk(count, 1).indices
    return searched.gather(1, best), take_rows(boxes, best)


def _distinct(boxes: Float[Tensor, "B S 4"], scores: Float[Tensor, "B S"]) -> Bool[Tensor, "B S"]:
    """Which boxes no better one of their image overlaps."""
    if torch.compiler.is_compiling():
        return unrepeated(cxcywh_to_xyxy(boxes).float(), DUPLICATE_IOU)
    distinct = torch.zeros_like(scores, dtype=torch.bool)
    # torchvision's batched_nms moves the images apart in one plane, where overlaps are less exact.
    for row, corners, score in zip(distinct, cxcywh_to_xyxy(boxes).float(), scores, strict=True):
        row[nms(corners, score, DUPLICATE_IOU)] = True
    return distinct


def sine_embedding(values: Float[Tensor, "*any 4"], features: int = 32) -> Float[Tensor, "*any features"]:
    """Sines and cosines of each value in [0, 1] at ``features / 2`` frequencies, half an octave apart."""
    octaves = torch.arange(features // 2, device=values.device, dtype=values.dtype) / 2
    angles = values[..., None] * math.pi * 2**octaves
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def proposal_loss(
    pick: Pick,
    labels: Int64[Tensor, "B M"],
    boxes: Float[Tensor, "B M 4"],
    valid: Bool[Tensor, "B M"],
    labelled: Bool[Tensor, " B"],
    annotated: Bool[Tensor, "B C"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Teach the patches that fit each object best its class and its box.

    Args:
        pick: Proposals of every patch.
        labels: Class of each object, as the proposals score it.
        boxes: Objects, cx cy w h relative to the canvas.
        valid: Which of the padded objects exist.
        labelled: Images without labels give no loss.
        annotated: Classes annotated in each image, all by default; scores of others give no loss.

    Returns:
        ``proposal_class`` and ``proposal_box``; 0 where nothing is labelled.
    """
    if not boxes.shape[1]:  # one slot that holds nothing, so that every index below is legal
        labels, boxes, valid = F.pad(labels, (0, 1)), F.pad(boxes, (0, 0, 0, 1)), F.pad(valid, (0, 1))
    quality, owner = _align(pick, labels, boxes, valid & labelled[:, None])
    target = torch.zeros_like(pick.logits)
    target.scatter_(2, labels.gather(1, owner)[..., None], quality[..., None])
    total = shared_count(quality.sum())
    mask = labelled.to(target.dtype)[:, None, None]
    classes = mask if annotated is None else mask * annotated[:, None]
    classification = (quality_focal(pick.logits, target) * classes).sum() / total
    truth = boxes.gather(1, owner[..., None].expand(-1, -1, 4))
    box = (quality * mask[..., 0] * proposal_box_loss(pick.boxes, truth)).sum() / total
    return {"proposal_class": classification, "proposal_box": box}


@torch.no_grad()
def _align(
    pick: Pick, labels: Tensor, boxes: Tensor, valid: Tensor
) -> tuple[Float[Tensor, "B N"], Int64[Tensor, "B N"]]:
    """Target quality of every patch, 0 for background, and the object that owns it."""
    patches = pick.logits.shape[1]
    scores = pick.logits.sigmoid().gather(2, labels[:, None, :].expand(-1, patches, -1))  # B N M
    overlaps = box_iou(cxcywh_to_xyxy(pick.boxes)[:, :, None], cxcywh_to_xyxy(boxes)[:, None])
    offset = (pick.boxes[:, :, None, :2] - boxes[:, None, :, :2]) / boxes[:, None, :, 2:].clamp(min=1e-3)
    # A little closeness keeps an object from going without a teacher while no proposal overlaps it.
    overlaps = overlaps + 0.05 * (-offset.square().sum(-1)).exp()
    alignment = scores**0.5 * overlaps**2 * valid[:, None]
    best, index = alignment.topk(min(POSITIVES, patches), 1)  # B k M
    share = best / best[:, :1].clamp(min=torch.finfo(best.dtype).tiny)
    quality = torch.zeros_like(alignment).scatter_(1, index, share * (share > 0.1))
    # A patch that several objects want teaches the one it is best for, and among equals the better aligned.
    owner = (quality + 1e-3 * alignment).argmax(2)
    return quality.gather(2, owner[..., None])[..., 0], owner
