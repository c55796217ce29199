"""ViTPose: a decoder turns the patches of a crop into heatmaps (Xu et al. 2022)."""

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.heads.knowledge_tokens import KnowledgeTokens
from mtvit_pose.onepass.targets import keypoint_names
from mtvit_pose.topdown.codec import MSRA, UDP, Codec
from mtvit_pose.topdown.decoder import ClassicDecoder, SimpleDecoder
from mtvit_pose.topdown.task import TopDownPose

#: The object of each value of ``codec``.
CODECS = {"udp": UDP, "msra": MSRA}


class VitPose(TopDownPose):
    """The classic decoder (variant ``vitpose``)."""

    decoder: ClassVar[type[ClassicDecoder] | type[SimpleDecoder]] = ClassicDecoder

    @property
    def codec(self) -> Codec:
        """The one that the settings name."""
        return CODECS[self.config.codec]

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """None, or the knowledge token."""
        if not self.config.knowledge:
            return []
        return [TokenGroup("pose-knowledge", 1, 0, KnowledgeTokens(1, backbone.width), "joint")]

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """A heatmap per keypoint."""
        return {"head.final_layer": keypoint_names(self.categories)}

    def head(self, backbone: BackboneSpec) -> ClassicDecoder | SimpleDecoder:
        """The decoder."""
        return self.decoder(backbone.width, self.categories.max_keypoints)


class SimpleVitPose(VitPose):
    """The simple decoder (variant ``vitpose-simple``)."""

    decoder = SimpleDecoder
