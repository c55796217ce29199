"""The pose task: its variants behind one name."""

from collections.abc import Sequence
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.heads.proposals import QueryRequest
from mtvit_core.losses.matching import Match
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.crops import CropRule
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_result import ImageResult
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.task import VIEWS, Task, TaskConfig, View
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.targets import NEEDS
from mtvit_pose.onepass.task import OnePassPose
from mtvit_pose.topdown.task import TopDownPose


class PoseTask(Task[PoseConfig, Any, Any]):
    """People and their keypoints, by the variant that the config names."""

    name: ClassVar[str] = "pose"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = PoseConfig
    needs: ClassVar[frozenset[str]] = NEEDS
    views: ClassVar[frozenset[str]] = frozenset(VIEWS)
    exportable: ClassVar[bool] = True

    def __init__(self, config: PoseConfig, categories: Categories) -> None:
        """Keep the settings and the categories.

        Args:
            config: Settings.
            categories: Classes of the data; at least one needs keypoints.

        Raises:
            ConfigError: no category has keypoints, or the variant takes no knowledge token.
        """
        super().__init__(config, categories)
        if not categories.max_keypoints:
            names = ", ".join(category.name for category in categories)
            raise ConfigError(
                f"task 'pose': none of the categories ({names}) has keypoints. Use data whose categories "
                "list them (COCO: person_keypoints_*.json), or leave the task out."
            )
        if config.knowledge and config.variant not in ("vitpose", "vitpose-simple"):
            raise ConfigError(
                f"tasks.pose.knowledge: variant {config.variant!r} takes no knowledge token, only vitpose "
                "and vitpose-simple do; leave it false."
            )
        variant = OnePassPose if config.variant == "onepass" else TopDownPose
        self.variant: Task[PoseConfig, Any, Any] = variant(config, categories)

    @property
    def view(self) -> View:
        """Whole images for ``onepass``, else one crop per person."""
        return self.variant.view

    @property
    def crop(self) -> CropRule:
        """How the variant's crops lie around a box."""
        return self.variant.crop

    @property
    def mirrors(self) -> bool:
        """Whether the variant makes results from the mirrored image too."""
        return self.variant.mirrors

    def query_request(self, backbone: BackboneSpec) -> QueryRequest | None:
        """Return what the variant can read of shared queries."""
        return self.variant.query_request(backbone)

    def query_objects(self, predictions: Any) -> QueryObjects | None:
        """Return what the variant says of class and box of each query."""
        return self.variant.query_objects(predictions)

    def with_query_objects(self, predictions: Any, objects: QueryObjects) -> Any:
        """Return predictions that say these."""
        return self.variant.with_query_objects(predictions, objects)

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Return the variant's token groups."""
        return self.variant.tokens(backbone)

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return the variant's head."""
        return self.variant.head(backbone)

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> Any:
        """Return what the variant's cost and loss read."""
        return self.variant.targets(annotations, canvas, device)

    def cost(self, predictions: Any, targets: Any) -> Float[Tensor, "L B Q M"] | None:
        """Return the variant's matching cost."""
        return self.variant.cost(predictions, targets)

    def loss(self, predictions: Any, targets: Any, match: Match | None) -> dict[str, Tensor]:
        """Return the variant's loss terms."""
        return self.variant.loss(predictions, targets, match)

    def teach(self, predictions: Any) -> Any:
        """Return what the variant's students learn from."""
        return self.variant.teach(predictions)

    def distill(self, predictions: Any, lesson: Any) -> dict[str, Tensor]:
        """Return the variant's distance from what a teacher says."""
        return self.variant.distill(predictions, lesson)

    def perfect(self, predictions: Any, targets: Any) -> Any:
        """Return what the variant's head would say if it knew the targets."""
        return self.variant.perfect(predictions, targets)

    def decode(self, predictions: Any, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return people in original pixels."""
        return self.variant.decode(predictions, meta)

    def average(self, predictions: Any, mirrored: Any) -> Any:
        """Return the mean of predictions and those of the mirrored images."""
        return self.variant.average(predictions, mirrored)

    def join(self, parts: Sequence[ImageResult], meta: Sequence[ImageMeta]) -> ImageResult:
        """Make one result of those of all crops of one image."""
        return self.variant.join(parts, meta)

    def evaluator(self) -> Evaluator:
        """Return COCO's keypoint AP."""
        return self.variant.evaluator()
