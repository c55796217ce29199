"""The family of ViT-MVT's networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.mvt.backbone import MvtBackbone
from mtvit_core.backbones.mvt.options import MODELS, MvtOptions, options_of
from mtvit_core.backbones.mvt.weights import load_pretrained
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError, did_you_mean


class MvtFamily(BackboneFamily):
    """Makes ``mvt:custom``, whose options say everything, and the released networks, as ``mvt:tiny``."""

    name: ClassVar[str] = "mvt"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> MvtBackbone:
        """Make one; see ``BackboneFamily.create``."""
        model = name.partition(":")[2]
        if model not in MODELS:
            raise ConfigError(
                f"backbone {name!r}: there is no such model; there are "
                f"{', '.join(f'{self.name}:{one}' for one in MODELS)}.{did_you_mean(model, MODELS)}"
            )
        if pretrained is True:
            raise ConfigError(
                f"backbone {name!r}: no address gives its weights to a program; download the authors' file "
                "and give model.pretrained its path, or false."
            )
        own = validate(MvtOptions, options_of(model, dict(options)), f"backbone {name}: options")
        backbone = MvtBackbone(name, canvas, options, own)
        if pretrained:
            load_pretrained(backbone, pretrained)
        return backbone
