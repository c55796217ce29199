"""The family of plain ViTs whose tasks may own layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.options import BranchedOptions, split_options
from mtvit_core.backbones.family import PLAIN, BackboneFamily, family_of
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.plain.family import create_plain
from mtvit_core.config import validate
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.state_dicts import differences


class BranchedFamily(BackboneFamily):
    """Makes ``branched:<plain ViT>``, as ``branched:vit_small_patch16_224``."""

    name: ClassVar[str] = "branched"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> BranchedBackbone:
        """Make one; see ``BackboneFamily.create``. Copies begin as the weights of the plain ViT.

        ``pretrained`` may name weights of the plain ViT, or a file of ``BranchedBackbone.weights``.
        """
        inner = name.partition(":")[2]
        if not inner or family_of(inner) != PLAIN:
            raise ConfigError(
                f"backbone {name!r}: {inner!r} is no plain ViT of timm; write branched:<name>, as "
                "branched:vit_small_patch16_224."
            )
        branched, plain = split_options(options)
        if "tasks" not in branched:
            raise ConfigError(
                f"backbone {name!r}: its options do not name the tasks that may own layers; give them, as "
                "model.options.tasks='det,seg,pose'."
            )
        own = validate(BranchedOptions, branched, f"backbone {name}: options")
        file = None if isinstance(pretrained, bool) else Path(pretrained)
        ours = file is not None and _holds_copies(file)
        made = create_plain(inner, canvas, False if ours else pretrained, plain)
        if made.fewer is not None:
            raise ConfigError(
                f"backbone {name!r}: keep is {made.fewer.keep:g}, but tasks that own layers would not agree "
                "which patches leave; leave keep and keep_after out."
            )
        backbone = BranchedBackbone(made.vit, name, canvas, options, own)
        if file is not None and ours:
            _load(backbone, file)
        return backbone


def _holds_copies(file: Path) -> bool:
    try:
        with safe_open(file, framework="pt") as opened:
            return any(".own." in key or key == "scores" for key in opened.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return False  # of which the plain family says what is wrong


def _load(backbone: BranchedBackbone, file: Path) -> None:
    found, wanted = load_file(file), backbone.weights()
    problems = differences(wanted, found)
    if problems:
        raise CheckpointError(f"weights {file}: they do not fit {backbone.name!r}: {problems}.")
    backbone.load_state_dict({k if k in ("scores", "held") else f"vit.{k}": v for k, v in found.items()})
