"""A box is corrected by what lies in it, then read once more: the last step of heads with picked queries.

    correct   b' = deltas(r(b)) applied to b
    say       o  = s(b'),  r and s two readers of a grid inside the box, on the same cells

Both stages at every supervised depth, with the same weights. Source of the two stages: Cai & Vasconcelos 2018
(Cascade R-CNN, section 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.heads.roi import PatchCells, RoIReader
from mtvit_core.structures.boxes import apply_deltas


class RoICascade(nn.Module):
    """Corrects boxes, and says something of what is inside the corrected ones."""

    def __init__(self, width: int, outputs: int) -> None:
        """Draw the layers; an untrained reader leaves boxes as they are and says zero.

        Args:
            width: Token width D.
            outputs: Numbers O to say of each box.
        """
        super().__init__()
        self.cells = PatchCells(width)
        self.correct = RoIReader(width, 4)
        self.say = RoIReader(width, outputs)

    def forward(
        self, patches: Float[Tensor, "B D h w"], boxes: Float[Tensor, "B Q 4"]
    ) -> tuple[Float[Tensor, "B Q 4"], Float[Tensor, "B Q O"]]:
        """Return the corrected boxes and what is said of them.

        Args:
            patches: Patch tokens of one depth.
            boxes: cx cy w h relative to the canvas. Where a box is read gives it no gradient.
        """
        cells = self.cells(patches)
        corrected = apply_deltas(boxes, self.correct(cells, boxes))
        return corrected, self.say(cells, corrected)

    def at_depths(
        self, patches: Sequence[Float[Tensor, "B D h w"]], boxes: Float[Tensor, "L B Q 4"]
    ) -> tuple[Float[Tensor, "L B Q 4"], Float[Tensor, "L B Q O"]]:
        """Read the boxes of every depth from the patches of that depth."""
        read = [self(at, b) for at, b in zip(patches, boxes, strict=True)]
        corrected, said = zip(*read, strict=True)
        return torch.stack(corrected), torch.stack(said)


@dataclass(frozen=True)
class BoundCascade:
    """A reader with what it reads, for boxes that a loss thinks of.

    Attributes:
        reader: The reader of a head.
        patches: Patch tokens of every supervised depth.
    """

    reader: RoICascade
    patches: tuple[Float[Tensor, "B D h w"], ...]

    def of(self, boxes: Float[Tensor, "B Q 4"]) -> tuple[Float[Tensor, "L B Q 4"], Float[Tensor, "L B Q O"]]:
        """Read the same boxes at every depth."""
        return self.reader.at_depths(self.patches, boxes.expand(len(self.patches), *boxes.shape))
