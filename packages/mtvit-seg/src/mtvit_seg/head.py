"""Segmentation heads.

Every query q gives a class and a mask:

    mask    m_q(p) = MLP(q) . upscale(patches)(p)                        (Kerssies et al. 2025, section 3.1)
    eomt    class = W q over C + 1 classes
    picked  class = s_pick + W q + read(box) over C classes,  mask = m_q + ellipse and shape read in the box
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import Pick
from mtvit_core.heads.mlp import MLP, Hidden
from mtvit_core.heads.roi_cascade import BoundCascade, RoICascade
from mtvit_core.losses.global_batch import image_generators
from mtvit_core.structures.boxes import apply_deltas
from mtvit_seg.mask_annealing import mask_probability
from mtvit_seg.mask_prior import SHAPE, box_prior
from mtvit_seg.upscale import upscale


@dataclass(frozen=True)
class SegPredictions:
    """What a segmentation head says.

    Attributes:
        logits: Class logits per supervised layer; the eomt variant has a last column for "no object".
        mask_logits: One mask per query on a map of a few pixels' stride.
        boxes: Box of every query, cx cy w h relative to the canvas; None for eomt.
        pick: The dense proposals the queries come from; None for learned tokens.
        canvas: Rows H and columns W of the input in pixels.
        region: The part of the logits that was read inside the boxes; None for eomt.
        reading: What reads the boxes, in training; otherwise, and for eomt, None.
    """

    logits: Float[Tensor, "L B Q C"]
    mask_logits: Float[Tensor, "L B Q h w"]
    boxes: Float[Tensor, "L B Q 4"] | None
    pick: Pick | None
    canvas: tuple[int, int]
    region: Float[Tensor, "L B Q C"] | None = None
    reading: BoundCascade | None = None

    @property
    def probabilities(self) -> Float[Tensor, "B Q C"]:
        """Of every column at the output: softmax for learned queries, sigmoid for picked ones."""
        return self.logits[-1].softmax(-1) if self.pick is None else self.logits[-1].sigmoid()


def mask_perceptron(width: int, outputs: int) -> nn.Sequential:
    """Three linear layers with GELU between them, from a query to its mask embedding."""
    return nn.Sequential(
        Hidden(width, width), nn.GELU(), Hidden(width, width), nn.GELU(), nn.Linear(width, outputs)
    )


def dot(queries: Float[Tensor, "B Q D"], pixels: Float[Tensor, "B D h w"]) -> Float[Tensor, "B Q h w"]:
    """Dot product of every mask embedding with every pixel."""
    return torch.einsum("bqd,bdhw->bqhw", queries, pixels)


def dot_added(
    start: Float[Tensor, "L B Q h w"], queries: Float[Tensor, "L B Q D"], pixels: Float[Tensor, "L B D h w"]
) -> Float[Tensor, "L B Q h w"]:
    """Add the dot products to a map, in place: the maps are large, each pass over them counts."""
    flat = start.flatten(0, 1).flatten(2)
    return flat.baddbmm_(queries.flatten(0, 1), pixels.flatten(0, 1).flatten(2)).view_as(start)


class MaskHead(nn.Module):
    """EoMT's head. Its state-dict keys are those of the published checkpoints.

    Attributes:
        layers: Depths to read: before each block the queries pass through, and the output.
        attn_mask_probs: Probability that a query is masked, for each of these blocks.
    """

    attn_mask_probs: Tensor

    def __init__(self, backbone: BackboneSpec, classes: int, enter: int, layers: tuple[int, ...]) -> None:
        """Draw the weights.

        Args:
            backbone: Width, depth and patch.
            classes: Classes C; one more column means "no object".
            enter: Block before which the queries join.
            layers: Depths to read; at evaluation only the last is there.
        """
        super().__init__()
        width = backbone.width
        self.enter, self.layers = enter, layers
        self.class_head = nn.Linear(width, classes + 1)
        self.mask_head = mask_perceptron(width, width)
        self.upscale = upscale(width, backbone.patch)
        self.register_buffer("attn_mask_probs", torch.ones(backbone.depth - enter))

    def forward(self, features: Features) -> SegPredictions:
        """Predict classes and masks at every depth at hand."""
        at_hand = features.at_hand(self.layers)
        queries = torch.stack([layer.queries["seg"] for layer in at_hand])
        masks = [dot(self.mask_head(layer.queries["seg"]), self.upscale(layer.patches)) for layer in at_hand]
        return SegPredictions(
            self.class_head(queries).float(), torch.stack(masks).float(), None, None, features.canvas
        )

    @torch.no_grad()
    def query_mask(
        self, layer: int, queries: Float[Tensor, "B Q D"], patches: Float[Tensor, "B D h w"]
    ) -> Bool[Tensor, "B Q N"] | None:
        """Return the patches inside each query's own mask; of some queries, at random, all patches.

        The mask logits are resized to the patches. Resizing is linear, so the upscaled patches are resized
        instead, before the dot product.

        Args:
            layer: Index of the block about to run.
            queries: Queries before that block, normed.
            patches: Patch tokens before that block, normed.
        """
        probability = float(self.attn_mask_probs[layer - self.enter])
        if probability <= 0:
            return None
        grid = patches.shape[-2:]
        pixels = F.interpolate(self.upscale(patches), size=grid, mode="bilinear", align_corners=False)
        allowed = dot(self.mask_head(queries), pixels).flatten(2) > 0
        if probability < 1:
            sources = image_generators(len(queries), queries.device)
            drawn = [torch.rand(queries.shape[1], generator=g, device=queries.device) for g in sources]
            free = torch.stack(drawn) > probability
            allowed = allowed | free[..., None]
        return allowed

    def anneal(self, fraction: float) -> None:
        """Set the masking probabilities for a progress of the training from 0 to 1."""
        blocks = len(self.attn_mask_probs)
        values = [mask_probability(i, blocks, fraction) for i in range(blocks)]
        self.attn_mask_probs.copy_(torch.tensor(values))


class PickedHead(nn.Module):
    """Refines the class and the box that each query was picked for, and adds a mask."""

    def __init__(
        self, backbone: BackboneSpec, classes: int, layers: tuple[int, ...], mask_width: int, sharpness: float
    ) -> None:
        """Draw the weights; class, box and mask start as the pick has them: its class, box and ellipse.

        Args:
            backbone: Width and patch.
            classes: Classes C.
            layers: Depths to read; at evaluation only the last is there.
            mask_width: Channels of mask embeddings and upscaled patches.
            sharpness: Logit of the prior at the centre of a box.
        """
        super().__init__()
        width = backbone.width
        self.layers = layers
        self.class_head = nn.Linear(width, classes)
        self.box_head = MLP(width, width, 4, layers=3, zero_last=True)
        self.mask_head = mask_perceptron(width, mask_width)
        self.reduce = nn.Conv2d(width, mask_width, kernel_size=1)
        self.upscale = upscale(mask_width, backbone.patch)
        self.classes, self.sharpness = classes, sharpness
        self.reader = RoICascade(width, classes + SHAPE * SHAPE)
        for parameter in (*self.class_head.parameters(), *self.mask_head[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, features: Features) -> SegPredictions:
        """Predict classes, boxes and masks at every depth at hand; proposals get no gradient from here."""
        pick = features.picks["seg"]
        at_hand = features.at_hand(self.layers)
        queries = torch.stack([layer.queries["seg"] for layer in at_hand])
        deltas = self.box_head(queries).float()
        moved = apply_deltas(pick.picked_boxes.detach().float().expand_as(deltas), deltas)
        reading = BoundCascade(self.reader, tuple(layer.patches for layer in at_hand))
        boxes, said = self.reader.at_depths(reading.patches, moved)
        region, shapes = said[..., : self.classes], said[..., self.classes :].float()
        logits = pick.picked_logits.detach() + self.class_head(queries) + region
        embeddings = self.mask_head(queries)
        reduced = torch.stack([self.reduce(layer.patches) for layer in at_hand])
        pixels = self.upscale(reduced.flatten(0, 1)).unflatten(0, reduced.shape[:2])
        # The box has a truth of its own; the mask must not pull at it.
        size = (pixels.shape[-2], pixels.shape[-1])
        with torch.autocast(pixels.device.type, enabled=False):  # products in place keep one type
            prior = box_prior(shapes, boxes.detach().float(), size, self.sharpness)
            masks = dot_added(prior, embeddings.float(), pixels.float())
        kept = reading if self.training else None
        return SegPredictions(logits.float(), masks, boxes, pick, features.canvas, region.float(), kept)
