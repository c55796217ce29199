"""How ordinary backbones of the shapes of a space are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.interface import Backbone, Option


@dataclass(frozen=True)
class Recipe:
    """A backbone by its name, and the shapes that it can have.

    Attributes:
        family: Makes it.
        name: Its name.
        canvas: Rows H and columns W that it is built for.
        options: Its options, without those of the space.
        space: The shapes.
    """

    family: BackboneFamily
    name: str
    canvas: tuple[int, int]
    options: Mapping[str, Option]
    space: Space

    def options_of(self, genome: Genome) -> dict[str, Option]:
        """Return the options with which the backbone has a shape, and tokens as wide as the largest's."""
        shaped = self.family.shaped(self.name, self.options, genome)
        widest = self.space.largest.width
        return shaped if genome.width == widest else {**shaped, "token_width": widest}

    def make(self, genome: Genome, pretrained: bool | str | Path = False) -> Backbone:
        """Make the backbone of a shape.

        Args:
            genome: The shape.
            pretrained: As ``BackboneFamily.create`` takes it.
        """
        return self.family.create(self.name, self.canvas, pretrained, self.options_of(genome))
