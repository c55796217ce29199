"""The one-pass head: every query is one person, with a box and keypoints relative to it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.tokens import Pick, take_rows
from mtvit_core.heads.mlp import MLP
from mtvit_core.heads.roi_cascade import BoundCascade, RoICascade
from mtvit_core.structures.boxes import apply_deltas
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.window import Upscale, Windows, windows


@dataclass(frozen=True)
class PosePredictions:
    """What the one-pass head says, per supervised layer.

    Attributes:
        logits: Class logits, one per category that has keypoints.
        boxes: cx cy w h relative to the canvas.
        points: Regressed keypoints, x, y relative to the canvas.
        visibility: Logits of "this keypoint is labelled".
        quality: Logits of the OKS the query expects of its own keypoints.
        embeddings: What each keypoint looks for in its window; None without refinement.
        maps: Upscaled patch features the windows read; None without refinement.
        heat: Logits of "some person's keypoint k is here", on the maps' grid; None without refinement.
        pick: The dense proposals the queries were picked from.
        canvas: Rows H and columns W in pixels.
        window: Points along one side of a refinement window.
        reach: Half the side of a window, in units of the person's size.
        reading: What reads the boxes, in training; otherwise None.
    """

    logits: Float[Tensor, "L B Q C"]
    boxes: Float[Tensor, "L B Q 4"]
    points: Float[Tensor, "L B Q K 2"]
    visibility: Float[Tensor, "L B Q K"]
    quality: Float[Tensor, "L B Q"]
    embeddings: Float[Tensor, "L B Q K D"] | None
    maps: Float[Tensor, "L B D h w"] | None
    heat: Float[Tensor, "L B K h w"] | None
    pick: Pick
    canvas: tuple[int, int]
    window: int
    reach: float
    reading: BoundCascade | None = None

    @property
    def scale(self) -> Float[Tensor, " 2"]:
        """Columns and rows of the canvas: turns relative x, y into pixels."""
        return self.points.new_tensor([self.canvas[1], self.canvas[0]])

    @property
    def sizes(self) -> Float[Tensor, "L B Q 2"]:
        """Square root of each box's area in pixels, as a length relative to the canvas in x and y."""
        pixels = (self.boxes[..., 2:] * self.scale).prod(-1, keepdim=True).sqrt()
        return pixels / self.scale

    @property
    def last(self) -> "PosePredictions":
        """The last layer alone, L = 1."""
        return replace(
            self,
            logits=self.logits[-1:],
            boxes=self.boxes[-1:],
            points=self.points[-1:],
            visibility=self.visibility[-1:],
            quality=self.quality[-1:],
            embeddings=None if self.embeddings is None else self.embeddings[-1:],
            maps=None if self.maps is None else self.maps[-1:],
            heat=None if self.heat is None else self.heat[-1:],
            reading=None,
        )

    def take(
        self, rows: Int64[Tensor, "L B P"]
    ) -> tuple[Float[Tensor, "L B P 4"], Float[Tensor, "L B P K 2"]]:
        """Boxes and regressed keypoints of chosen queries."""
        return take(self.boxes, rows), take(self.points, rows)

    def windows(self, rows: Int64[Tensor, "L B P"]) -> Windows | None:
        """Window heatmaps of chosen queries, layers and images flattened; None without refinement."""
        if self.embeddings is None or self.maps is None:
            return None
        return windows(
            take(self.embeddings, rows).flatten(0, 1),
            self.maps.flatten(0, 1),
            torch.arange(rows.shape[0] * rows.shape[1], device=rows.device),
            take(self.points, rows).flatten(0, 1),
            take(self.sizes, rows).flatten(0, 1),
            self.window,
            self.reach,
        )

    def windows_of(
        self, layer: Int64[Tensor, " P"], image: Int64[Tensor, " P"], query: Int64[Tensor, " P"]
    ) -> Windows | None:
        """Window heatmaps of single queries, each a row of its own: P 1 K; None without refinement."""
        if self.embeddings is None or self.maps is None:
            return None
        return windows(
            self.embeddings[layer, image, query][:, None],
            self.maps.flatten(0, 1),
            layer * self.maps.shape[1] + image,
            self.points[layer, image, query][:, None],
            self.sizes[layer, image, query][:, None],
            self.window,
            self.reach,
        )


def take(values: Float[Tensor, "L B Q *any"], rows: Int64[Tensor, "L B P"]) -> Float[Tensor, "L B P *any"]:
    """Pick rows of the query axis."""
    flat = take_rows(values.flatten(0, 1).flatten(2), rows.flatten(0, 1))
    return flat.view(*rows.shape, *values.shape[3:])


class OnePassHead(nn.Module):
    """Reads the pose queries; the same weights at every supervised depth.

    A keypoint is ``centre + offset_k * (width, height)`` of the query's own box. Offsets, class, visibility
    and expected OKS are each said by the query and read in its box, and added. Offsets start at zero; their
    learned bias soon is the mean pose.
    """

    def __init__(
        self, width: int, config: PoseConfig, layers: tuple[int, ...], classes: int, keypoints: int
    ) -> None:
        """Draw the weights.

        Args:
            width: Token width D.
            config: Settings.
            layers: Depths to read; at evaluation only the last is there.
            classes: Categories with keypoints, C.
            keypoints: Most keypoints of one of them, K.
        """
        super().__init__()
        self.config, self.layers, self.keypoints = config, layers, keypoints
        self.classify = nn.Linear(width, classes)
        self.box = MLP(width, width, 4, layers=3, zero_last=True)
        self.offset = MLP(width, width, 2 * keypoints, layers=3, zero_last=True)
        self.reader = RoICascade(width, classes + 3 * keypoints + 1)
        self.judge = nn.Linear(width, keypoints + 1)
        if config.refine:
            self.embed = nn.Linear(width, keypoints * config.embedding)
            self.upscale = Upscale(width, config.embedding)
            self.rarity = nn.Parameter(torch.full((keypoints,), -4.6))
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, features: Features) -> PosePredictions:
        """Read the queries of every depth at hand; gradients do not flow into the proposals from here."""
        pick = features.picks["pose"]
        layers = features.at_hand(self.layers)
        queries = torch.stack([layer.queries["pose"] for layer in layers])
        reading = BoundCascade(self.reader, tuple(layer.patches for layer in layers))
        deltas = self.box(queries)
        moved = apply_deltas(pick.picked_boxes.detach().expand_as(deltas), deltas)
        boxes, said = self.reader.at_depths(reading.patches, moved)
        moving, judging = 2 * self.keypoints, self.keypoints + 1
        offsets, classes = said[..., :moving], said[..., moving:-judging]
        judged = self.judge(queries) + said[..., -judging:]
        refine = self.config.refine
        maps = self._maps(reading.patches) if refine else None
        return PosePredictions(
            logits=pick.picked_logits.detach() + self.classify(queries) + classes,
            boxes=boxes,
            points=points_in(boxes, self.offset(queries) + offsets),
            visibility=judged[..., :-1],
            quality=judged[..., -1],
            embeddings=self.embed(queries).reshape(*queries.shape[:3], self.keypoints, -1)
            if refine
            else None,
            maps=maps,
            heat=None if maps is None else self._heat(maps),
            pick=pick,
            canvas=features.canvas,
            window=self.config.window,
            reach=self.config.reach,
            reading=reading if self.training else None,
        )

    def _maps(self, patches: Sequence[Float[Tensor, "B D h w"]]) -> Float[Tensor, "L B D2 h2 w2"]:
        depths = torch.stack(tuple(patches))
        return self.upscale(depths.flatten(0, 1)).unflatten(0, depths.shape[:2])  # type: ignore[no-any-return]  # modules are untyped callables

    def _heat(self, maps: Float[Tensor, "L B D h w"]) -> Float[Tensor, "L B K h w"]:
        """What people share: the constant part of the embeddings against every place of the map."""
        shared = self.embed.bias.view(self.keypoints, -1)
        score = torch.einsum("kd,lbdhw->lbkhw", shared, maps) / math.sqrt(shared.shape[1])
        return score + self.rarity[:, None, None]


def points_in(
    boxes: Float[Tensor, "L B Q 4"], offsets: Float[Tensor, "L B Q O"]
) -> Float[Tensor, "L B Q K 2"]:
    """Return keypoints at offsets from the centres of boxes, in units of their sizes, O = 2 K.

    The keypoints must not pull at the box, which has a truth of its own: it gets no gradient.
    """
    frame = boxes.detach()[..., None, :]
    return frame[..., :2] + offsets.reshape(*offsets.shape[:-1], -1, 2) * frame[..., 2:]
