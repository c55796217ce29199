"""A family of backbones: what makes one by name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NoReturn

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.interface import Backbone, Option
from mtvit_core.errors import ConfigError

#: The family whose names have no prefix: timm's plain ViTs.
PLAIN = "plain"
#: Prefix of a hub id, which is timm's too.
HUB = "hf-hub"


class BackboneFamily(ABC):
    """Makes the backbones whose names begin with the family's own and a colon, as ``tiny:small``.

    A plugin returns such classes from the hook ``mtvit_backbones``.

    Attributes:
        name: Name of the family.
        api: Contract version it was written for, a number: ``api = 1``.
    """

    name: ClassVar[str]
    api: ClassVar[int]

    @abstractmethod
    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> Backbone:
        """Make a backbone.

        Args:
            name: Its whole name, as ``tiny:small``; the backbone keeps it.
            canvas: Rows H and columns W of the images it will see; others are to work too.
            pretrained: False for random weights; True for those that the family publishes; a path for a local
                file, in the form of ``Backbone.weights``.
            options: Its options; the backbone keeps them.

        Returns:
            The backbone in training mode.

        Raises:
            ConfigError: the family knows no such model, an option is unknown or wrong, or there are no such
                weights.
            CheckpointError: the file does not hold the weights of this model.
        """

    def space(self, name: str, options: Mapping[str, Option]) -> Space:
        """Return the choices of a supernet that is as large as a backbone, unless its user names others.

        Together with ``shaped`` this is what a family offers whose backbones can be made elastic.

        Args:
            name: Name of the backbone.
            options: Its options.

        Raises:
            ConfigError: the family does not offer it.
        """
        self._refuse_elastic(name)

    def shaped(self, name: str, options: Mapping[str, Option], genome: Genome) -> dict[str, Option]:
        """Return the options with which the backbone by a name has the shape of a genome.

        Every tensor of a smaller shape must be a leading part of the same tensor of the largest one, see
        ``Backbone.parts_of``. The family also takes the option ``token_width``: tokens that enter and that
        are read are so wide, whatever the width of the trunk; 0 for that of the trunk.

        Args:
            name: Name of the backbone.
            options: Options of the largest.
            genome: The shape, one gene for each of its blocks.

        Raises:
            ConfigError: the family does not offer it.
        """
        self._refuse_elastic(name)

    def _refuse_elastic(self, name: str) -> NoReturn:
        raise ConfigError(
            f"backbone 'elastic:{name}': the family {self.name!r} does not say how its backbones are cut to "
            "a smaller shape; take a plain ViT of timm, as 'elastic:vit_small_patch16_224'."
        )


class OuterFamily(BackboneFamily):
    """Makes backbones around those of another family, as ``elastic:vit_small_patch16_224`` does.

    Attributes:
        inner: The family of what stands behind its own prefix.
    """

    def __init__(self, inner: BackboneFamily) -> None:
        """Keep the other family."""
        self.inner = inner


def family_of(name: str) -> str:
    """Return the family of a backbone by its name; names without a prefix and hub ids are timm's."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon and prefix != HUB else PLAIN
