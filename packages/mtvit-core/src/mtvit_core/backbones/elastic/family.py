"""The family of supernets: ``elastic:vit_small_patch16_224`` is elastic in what its options name."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from mtvit_core.backbones.elastic.backbone import ElasticBackbone
from mtvit_core.backbones.elastic.recipe import Recipe
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.family import OuterFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.config import validate

#: What the name of a supernet begins with.
ELASTIC = "elastic"


class SpaceOptions(BaseModel):
    """Choices of the space; where empty, those that the inner family offers.

    Attributes:
        widths: Widths of the trunk.
        heads: Heads of a block.
        ratios: Hidden width of a block's feed-forward part over that of the trunk.
        depths: Numbers of blocks that are there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    widths: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    ratios: tuple[float, ...] = ()
    depths: tuple[int, ...] = ()


class ElasticFamily(OuterFamily):
    """Makes supernets; all other options are those of the inner backbone."""

    name: ClassVar[str] = ELASTIC
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> ElasticBackbone:
        """Make one; ``pretrained`` fills the largest network. See ``BackboneFamily.create``."""
        own = {key: value for key, value in options.items() if key in SpaceOptions.model_fields}
        inner = {key: value for key, value in options.items() if key not in own}
        chosen = validate(SpaceOptions, own, f"backbone {name}: options")
        within = name.partition(":")[2]
        offered = self.inner.space(within, inner)
        space = Space(
            chosen.widths or offered.widths,
            chosen.heads or offered.heads,
            chosen.ratios or offered.ratios,
            chosen.depths or offered.depths,
            offered.blocks,
        )
        recipe = Recipe(self.inner, within, canvas, inner, space)
        return ElasticBackbone(name, options, recipe.make(space.largest, pretrained), recipe)
