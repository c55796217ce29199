"""A family of backbones: what makes one by name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mtvit_core.backbones.interface import Backbone, Option

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


def family_of(name: str) -> str:
    """Return the family of a backbone by its name; names without a prefix and hub ids are timm's."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon and prefix != HUB else PLAIN
