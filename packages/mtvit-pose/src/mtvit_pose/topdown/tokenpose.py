"""TokenPose: a learned token for each keypoint becomes its heatmap (Li et al. 2021)."""

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_pose.onepass.targets import keypoint_names
from mtvit_pose.topdown.codec import TOKENPOSE, Codec
from mtvit_pose.topdown.keypoint_token import TokenPoseHead
from mtvit_pose.topdown.task import TopDownPose


class TokenPose(TopDownPose):
    """Keypoint tokens beside the patches from block 0 (variant ``tokenpose``)."""

    error_scale: ClassVar[float] = 0.5

    @property
    def codec(self) -> Codec:
        """That of TokenPose's code, whose crops are centred on the box."""
        return TOKENPOSE

    @property
    def reads_patches(self) -> bool:
        """The head reads the keypoint tokens alone."""
        return False

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """The keypoint tokens."""
        count = self.categories.max_keypoints
        source = LearnedQueries(count, backbone.width)
        return [TokenGroup(self.name, count, 0, source, "joint", (backbone.depth,))]

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """A token per keypoint."""
        return {f"tokens.{self.name}": keypoint_names(self.categories)}

    def head(self, backbone: BackboneSpec) -> TokenPoseHead:
        """A perceptron from token to heatmap."""
        return TokenPoseHead(backbone.width, backbone.canvas)
