"""Detection heads: from DET tokens to classes and boxes.

    yolos   class = MLP3(q) over C + 1 classes,  box = sigmoid(MLP3(q))
    picked  class = s_pick + W q + read(box),  box = corrected(deltas(MLP3(q)) applied to the picked box)

Source of yolos: Fang et al. 2021, section 3.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.tokens import Pick
from mtvit_core.heads.mlp import MLP
from mtvit_core.heads.roi_cascade import BoundCascade, RoICascade
from mtvit_core.structures.boxes import apply_deltas


@dataclass(frozen=True)
class DetPredictions:
    """What a detection head says.

    Attributes:
        logits: Class logits per supervised layer; the yolos variant has a last column for "no object".
        boxes: Boxes cx cy w h relative to the canvas.
        pick: The dense proposals the queries come from; None for learned tokens.
        canvas: Rows H and columns W of the input in pixels.
        region: The part of the logits that was read inside the boxes; None for learned tokens.
        reading: What reads the boxes, in training; otherwise, and for learned tokens, None.
    """

    logits: Float[Tensor, "L B Q C"]
    boxes: Float[Tensor, "L B Q 4"]
    pick: Pick | None
    canvas: tuple[int, int]
    region: Float[Tensor, "L B Q C"] | None = None
    reading: BoundCascade | None = None


class YolosHead(nn.Module):
    """Two three-layer perceptrons on the DET tokens of the last layer."""

    def __init__(self, width: int, classes: int) -> None:
        """Draw the weights.

        Args:
            width: Token width D.
            classes: Classes C; one more column means "no object".
        """
        super().__init__()
        self.class_embed = MLP(width, width, classes + 1, layers=3)
        self.bbox_embed = MLP(width, width, 4, layers=3)

    def forward(self, features: Features) -> DetPredictions:
        """Read the DET tokens of the output."""
        tokens = features.last.queries["det"][None]
        return DetPredictions(
            self.class_embed(tokens), self.bbox_embed(tokens).sigmoid(), None, features.canvas
        )


class PickedHead(nn.Module):
    """Refines the class and the box that each query was picked for."""

    def __init__(self, width: int, classes: int, layers: tuple[int, ...]) -> None:
        """Draw the weights; both corrections start at zero, so an untrained head repeats the proposals.

        Args:
            width: Token width D.
            classes: Classes C.
            layers: Depths to read; at evaluation only the last is there.
        """
        super().__init__()
        self.layers = layers
        self.class_embed = nn.Linear(width, classes)
        nn.init.zeros_(self.class_embed.weight)
        nn.init.zeros_(self.class_embed.bias)
        self.bbox_embed = MLP(width, width, 4, layers=3, zero_last=True)
        self.reader = RoICascade(width, classes)

    def forward(self, features: Features) -> DetPredictions:
        """Read the queries of every depth at hand; gradients do not flow into the proposals from here."""
        pick = features.picks["det"]
        at_hand = features.at_hand(self.layers)
        tokens = torch.stack([layer.queries["det"] for layer in at_hand])
        moved = apply_deltas(
            pick.picked_boxes.detach().expand(len(tokens), -1, -1, -1), self.bbox_embed(tokens)
        )
        reading = BoundCascade(self.reader, tuple(layer.patches for layer in at_hand))
        boxes, region = self.reader.at_depths(reading.patches, moved)
        logits = pick.picked_logits.detach() + self.class_embed(tokens) + region
        return DetPredictions(
            logits, boxes, pick, features.canvas, region, reading if self.training else None
        )
