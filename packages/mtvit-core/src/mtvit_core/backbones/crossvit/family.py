"""The family of two-branch ViTs."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mtvit_core.backbones.crossvit.backbone import CrossBackbone
from mtvit_core.backbones.crossvit.options import MODELS, CrossOptions, options_of
from mtvit_core.backbones.crossvit.timm_weights import load_pretrained
from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError, did_you_mean


class CrossFamily(BackboneFamily):
    """Makes ``crossvit:custom``, whose options say everything, and timm's models, as ``crossvit:15_240``."""

    name: ClassVar[str] = "crossvit"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> CrossBackbone:
        """Make one; see ``BackboneFamily.create``."""
        model = name.partition(":")[2]
        if model not in MODELS:
            raise ConfigError(
                f"backbone {name!r}: there is no such model; there are "
                f"{', '.join(f'{self.name}:{one}' for one in MODELS)}.{did_you_mean(model, MODELS)}"
            )
        own = validate(CrossOptions, options_of(model, dict(options)), f"backbone {name}: options")
        backbone = CrossBackbone(name, canvas, options, own)
        if pretrained is True and model == "custom":
            raise ConfigError(
                f"backbone {name!r}: nobody publishes weights of it; give model.pretrained a file, or false."
            )
        if pretrained:
            load_pretrained(backbone, pretrained)
        return backbone
