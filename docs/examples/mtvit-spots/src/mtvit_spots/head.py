"""From queries to class logits and boxes: z = W x + b, (cx, cy, w, h) = sigmoid(V x + c)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core import Features


@dataclass(frozen=True)
class SpotsPredictions:
    """Logits per category, and boxes cx cy w h relative to the canvas; one layer is read."""

    logits: Float[Tensor, "1 B Q C"]
    boxes: Float[Tensor, "1 B Q 4"]
    canvas: tuple[int, int]


class SpotsHead(nn.Module):
    """Two linear layers on each query."""

    def __init__(self, width: int, classes: int) -> None:
        """Draw the weights; at first no query claims anything."""
        super().__init__()
        self.classify, self.place = nn.Linear(width, classes), nn.Linear(width, 4)
        nn.init.constant_(self.classify.bias, -3.0)

    def forward(self, features: Features) -> SpotsPredictions:
        """Read the queries of the output."""
        queries = features.last.queries["spots"][None]
        return SpotsPredictions(self.classify(queries), self.place(queries).sigmoid(), features.canvas)
