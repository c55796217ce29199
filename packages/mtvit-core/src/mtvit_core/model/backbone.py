"""A backbone by its name, whatever family it is of."""

from collections.abc import Mapping
from pathlib import Path

from mtvit_core.arguments import require, require_size, require_table
from mtvit_core.backbones.family import BackboneFamily, OuterFamily, family_of
from mtvit_core.backbones.interface import Backbone, Option
from mtvit_core.errors import MtvitError, PluginError
from mtvit_core.plugins.registry import registry


def create_backbone(
    name: str,
    canvas: tuple[int, int],
    pretrained: bool | str | Path = False,
    options: Mapping[str, Option] | None = None,
) -> Backbone:
    """Make a backbone.

    Args:
        name: timm's name of a plain ViT (``vit_small_patch14_reg4_dinov2.lvd142m``), a hub id
            (``hf-hub:timm/...``), or that of another family (``<family>:<model>``).
        canvas: Rows H and columns W of the images it will see.
        pretrained: True for published weights, a path for a local file, such as one in timm's keys.
        options: Arguments of the timm model, such as ``depth=6`` or ``drop_path_rate=0.1``, and those of
            ``PlainOptions``; of another family, what it takes.

    Returns:
        The backbone in training mode.

    Raises:
        ConfigError: the name is unknown, an option is wrong, the model is not a plain ViT, or its weights
            cannot be had.
        CheckpointError: the file does not hold the weights of this model.
        PluginError: no plugin brings the family, or the family's own code raises or makes something else.
    """
    require("backbone: name", name, str, "a text, as 'vit_small_patch16_224'")
    require_size(f"backbone {name!r}: canvas", canvas)
    require(f"backbone {name!r}: pretrained", pretrained, (bool, str, Path), "True, False or a path")
    given = dict(
        require_table(f"backbone {name!r}: options", {} if options is None else options, "options by name")
    )
    found = registry().family(family_of(name), name)
    try:
        backbone = _family(found.cls, name).create(name, canvas, pretrained, dict(given))
    except MtvitError:
        raise
    except Exception as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise PluginError(
            f"backbone {name!r}: its family is broken: {found.where}: create raised {type(error).__name__}: "
            f"{words}. Fix the plugin, or take another backbone."
        ) from error
    if not isinstance(backbone, Backbone):
        raise PluginError(
            f"backbone {name!r}: its family is broken: {found.where}: create returned a "
            f"{type(backbone).__name__}, not a mtvit_core.Backbone. Return an object of a subclass."
        )
    if (backbone.name, backbone.options) != (name, given):
        raise PluginError(
            f"backbone {name!r}: its family is broken: {found.where}: create made {backbone.name!r} with the "
            f"options {backbone.options}, not {given}; a checkpoint could not be read. Keep both as given."
        )
    return backbone


def _family(cls: type[BackboneFamily], name: str) -> BackboneFamily:
    """Make a family, and those inside of it that the rest of a name means."""
    if not issubclass(cls, OuterFamily):
        return cls()
    inner = name.partition(":")[2]
    return cls(_family(registry().family(family_of(inner), inner).cls, inner))
