"""The family of ViT-MVT's networks."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.mvt.backbone import MvtBackbone
from mtvit_core.backbones.mvt.options import MODELS, SQUEEZE, MvtOptions, options_of
from mtvit_core.backbones.mvt.weights import load_pretrained
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError, did_you_mean

#: Widths and heads that ViT-MVT searched for each of its networks; ratios are the same for all.
SEARCHED = {
    "tiny": ((192, 216, 240), (3, 4)),
    "small": ((320, 384, 448), (5, 6, 7)),
    "base": ((528, 576, 624), (9, 10)),
}
RATIOS = (3.0, 3.5, 4.0)


class MvtFamily(BackboneFamily):
    """Makes ``mvt:custom``, whose options say everything, and the released networks, as ``mvt:tiny``."""

    name: ClassVar[str] = "mvt"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> MvtBackbone:
        """Make one; see ``BackboneFamily.create``."""
        own = self._own(name, options)
        if pretrained is True:
            raise ConfigError(
                f"backbone {name!r}: no address gives its weights to a program; download the authors' file "
                "and give model.pretrained its path, or false."
            )
        backbone = MvtBackbone(name, canvas, options, own)
        if pretrained:
            load_pretrained(backbone, pretrained)
        return backbone

    def space(self, name: str, options: Mapping[str, Option]) -> Space:
        """Offer what ViT-MVT searched; where options say a shape, two thirds of it and up."""
        model, own = name.partition(":")[2], self._own(name, options)
        depth, most = len(own.block_heads), max(own.block_heads)
        if model in SEARCHED and not {"width", "block_heads", "block_ratios"} & options.keys():
            widths, heads = SEARCHED[model]
            return Space(widths, heads, RATIOS, (depth,), depth)
        ratio = max(ratio for count, ratio in zip(own.block_heads, own.block_ratios, strict=True) if count)
        shares = [SQUEEZE * round(own.width * share / SQUEEZE) for share in (2 / 3, 5 / 6)]
        return Space(
            (*shares, own.width),
            tuple(range(math.ceil(2 * most / 3), most + 1)),
            (0.75 * ratio, 0.875 * ratio, ratio),
            (depth,),
            depth,
        )

    def shaped(self, name: str, options: Mapping[str, Option], genome: Genome) -> dict[str, Option]:
        """Return options that say the shape; blocks that are absent do not aggregate."""
        own = self._own(name, options)
        return {
            **options,
            "width": genome.width,
            "block_heads": list(genome.heads),
            "block_ratios": list(genome.ratios),
            "aggregate": [block for block in own.aggregate if genome.heads[block]],
        }

    def _own(self, name: str, options: Mapping[str, Option]) -> MvtOptions:
        """Return the options of a model with those that are given.

        Raises:
            ConfigError: there is no such model, or an option is unknown or wrong.
        """
        model = name.partition(":")[2]
        if model not in MODELS:
            raise ConfigError(
                f"backbone {name!r}: there is no such model; there are "
                f"{', '.join(f'{self.name}:{one}' for one in MODELS)}.{did_you_mean(model, MODELS)}"
            )
        return validate(MvtOptions, options_of(model, dict(options)), f"backbone {name}: options")
