"""The family: which models there are, and where their weights come from."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from safetensors import SafetensorError
from safetensors.torch import load_file

from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.config import validate
from mtvit_core.errors import CheckpointError, ConfigError, did_you_mean
from mtvit_core.state_dicts import differences
from mtvit_nanovit.backbone import NanoOptions, NanoViT

#: Options of each model by name.
MODELS = {
    "nanovit:tiny": NanoOptions(width=96, depth=4, heads=3),
    "nanovit:small": NanoOptions(width=192, depth=8, heads=6),
}


class NanoFamily(BackboneFamily):
    """Makes ``nanovit:tiny`` and ``nanovit:small``."""

    name: ClassVar[str] = "nanovit"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> NanoViT:
        """Make one; see ``BackboneFamily.create``."""
        if name not in MODELS:
            raise ConfigError(
                f"backbone {name!r}: there is no such model; there are {', '.join(MODELS)}."
                f"{did_you_mean(name, MODELS)}"
            )
        own = validate(NanoOptions, {**MODELS[name].model_dump(), **options}, f"backbone {name}: options")
        backbone = NanoViT(name, canvas, options, own)
        if pretrained is True:
            raise ConfigError(
                f"backbone {name!r}: nobody publishes weights of it; give model.pretrained a file, or false."
            )
        if pretrained:
            read_weights(backbone, Path(pretrained))
        return backbone


def read_weights(backbone: NanoViT, path: Path) -> None:
    """Copy weights from a file.

    Raises:
        ConfigError: it does not exist.
        CheckpointError: it does not hold the weights of this model.
    """
    if not path.is_file():
        raise ConfigError(
            f"backbone {backbone.name!r}: there is no weight file {str(path)!r}; check model.pretrained."
        )
    try:
        weights = load_file(path)
    except SafetensorError as cause:
        raise CheckpointError(
            f"backbone {backbone.name!r}: {path} is no safetensors file: {cause}"
        ) from cause
    problems = differences(backbone.state_dict(), weights)
    if problems:
        raise CheckpointError(f"backbone {backbone.name!r}: the weights of {path} do not fit: {problems}.")
    backbone.load_state_dict(weights)
