"""The family of timm's plain ViTs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import timm
import torch

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.family import PLAIN, BackboneFamily
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.narrowed import check_elastic, genome_of
from mtvit_core.backbones.plain.options import PlainOptions, split_options
from mtvit_core.backbones.plain.timm_weights import load_pretrained
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError

#: Side of a canvas that all usual patches divide: 8, 10, 12, 14, 16 and 32 pixels.
ANY_PATCH = 3360


class PlainFamily(BackboneFamily):
    """Makes the backbones that timm calls by a name, or that lie on the hub in timm's form."""

    name: ClassVar[str] = PLAIN
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> PlainBackbone:
        """Make a plain ViT, see ``create_plain``."""
        return create_plain(name, canvas, pretrained, options)

    def space(self, name: str, options: Mapping[str, Option]) -> Space:
        """Offer choices like AutoFormer's (Chen et al. 2021, table 1): two thirds of the width and up."""
        own = _shape(name, options)
        width, heads, ratio = own.width, max(own.heads), max(own.ratios)
        return Space(
            (8 * round(width / 12), 8 * round(width * 5 / 48), width),
            tuple(range(math.ceil(2 * heads / 3), heads + 1)),
            (0.75 * ratio, 0.875 * ratio, ratio),
            (len(own.heads),),
            len(own.heads),
        )

    def shaped(self, name: str, options: Mapping[str, Option], genome: Genome) -> dict[str, Option]:
        """Return options by which the model is cut."""
        cut: dict[str, Option] = {
            "width": genome.width,
            "block_heads": list(genome.heads),
            "block_ratios": list(genome.ratios),
        }
        return {**options, **cut}


def _shape(name: str, options: Mapping[str, Option]) -> Genome:
    """The shape of a model, which is built without memory for its weights, for a canvas of any patch."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = create_plain(name, (ANY_PATCH, ANY_PATCH), options=options)
    check_elastic(model.vit, name)
    return genome_of(model.vit)


def create_plain(
    name: str,
    canvas: tuple[int, int],
    pretrained: bool | str | Path = False,
    options: Mapping[str, Option] | None = None,
) -> PlainBackbone:
    """Build a backbone from timm.

    Args:
        name: timm's name (``vit_small_patch14_reg4_dinov2.lvd142m``) or a hub id (``hf-hub:timm/...``).
        canvas: Rows H and columns W of the images it will see; its positions are resized to it.
        pretrained: True for timm's published weights, a path for a local file of weights in timm's keys.
        options: Arguments of the timm model, such as ``depth=6`` or ``drop_path_rate=0.1``, and those of
            ``PlainOptions``.

    Returns:
        The backbone in training mode.

    Raises:
        ConfigError: the name is unknown, an option is wrong, the model is not a plain ViT, or its weights
            cannot be had.
        CheckpointError: the file does not hold the weights of this model.
    """
    own, of_timm = split_options(options or {})
    variation = validate(PlainOptions, own, f"backbone {name}: options")
    _check_counts(name, of_timm)
    is_on_hub = name.startswith("hf-hub:")
    if not is_on_hub:
        timm_blocks.check_known(name)
    try:
        vit = timm.create_model(name, img_size=canvas, dynamic_img_size=True, num_classes=0, **of_timm)
    except (TypeError, AssertionError, ValueError, RuntimeError, OSError) as cause:
        words = " ".join(str(cause).split())
        what = "cannot be had from the hub" if is_on_hub else f"timm refuses the options {of_timm}"
        raise ConfigError(f"backbone {name!r}: {what}: {words}") from cause
    variation.apply(timm_blocks.check_plain(vit, name), name)
    backbone = PlainBackbone(vit, name, canvas, options)
    if pretrained:
        load_pretrained(backbone.vit, name, None if pretrained is True else pretrained)
    return backbone


def _check_counts(name: str, options: Mapping[str, Option]) -> None:
    """Refuse what timm takes, and what no image can pass through."""
    if options.get("in_chans", 3) != 3:
        raise ConfigError(
            f"backbone {name!r}: in_chans is {options['in_chans']!r}; images have 3 channels, red, green and "
            "blue, grey ones too: leave it out."
        )
    for option in ("depth", "embed_dim", "num_heads"):
        count = options.get(option, 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"backbone {name!r}: {option} is {count!r}; give a whole number of at least 1.")
