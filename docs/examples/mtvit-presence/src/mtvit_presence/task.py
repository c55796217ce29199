"""Presence: which categories does an image show?"""

from typing import ClassVar

from pydantic import Field

from mtvit_core import BackboneSpec, ImageLabelsConfig, ImageLabelsTask, TaskConfig
from mtvit_presence.head import PresenceHead


class PresenceConfig(ImageLabelsConfig):
    """``[tasks.presence]``: channels of the hidden layer, and the weight ``loss_class``."""

    hidden: int = Field(128, ge=1)


class Presence(ImageLabelsTask[PresenceConfig]):
    """Names the categories of an image."""

    name: ClassVar[str] = "presence"
    Config: ClassVar[type[TaskConfig]] = PresenceConfig

    def head(self, backbone: BackboneSpec) -> PresenceHead:
        """Return the head, fresh."""
        return PresenceHead(backbone.width, self.config.hidden, len(self.categories))
