"""The pose task: its variants behind one name."""

from typing import Any, ClassVar

from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import VIEWS, Task, TaskConfig
from mtvit_core.tasks.variant_task import VariantTask
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.targets import NEEDS
from mtvit_pose.onepass.task import OnePassPose
from mtvit_pose.topdown.tokenpose import TokenPose
from mtvit_pose.topdown.vitpose import SimpleVitPose, VitPose

#: The object of each value of ``variant``.
VARIANTS: dict[str, type[Task[PoseConfig, Any, Any]]] = {
    "onepass": OnePassPose,
    "vitpose": VitPose,
    "vitpose-simple": SimpleVitPose,
    "tokenpose": TokenPose,
}


class PoseTask(VariantTask[PoseConfig, Any, Any]):
    """People and their keypoints, by the variant that the config names."""

    name: ClassVar[str] = "pose"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = PoseConfig
    needs: ClassVar[frozenset[str]] = NEEDS
    views: ClassVar[frozenset[str]] = frozenset(VIEWS)
    exportable: ClassVar[bool] = True

    def __init__(self, config: PoseConfig, categories: Categories) -> None:
        """Build the variant.

        Args:
            config: Settings.
            categories: Classes of the data; at least one needs keypoints.

        Raises:
            ConfigError: no category has keypoints, or the variant takes no knowledge token or codec.
        """
        if not categories.max_keypoints:
            names = ", ".join(category.name for category in categories)
            raise ConfigError(
                f"task 'pose': none of the categories ({names}) has keypoints. Use data whose categories "
                "list them (COCO: person_keypoints_*.json), or leave the task out."
            )
        is_vitpose = config.variant in ("vitpose", "vitpose-simple")
        if config.codec != "udp" and not is_vitpose:
            raise ConfigError(
                f"tasks.pose.codec: variant {config.variant!r} has its own way from keypoints to maps and "
                "back, only vitpose and vitpose-simple have a choice; leave it out."
            )
        if config.knowledge and not is_vitpose:
            raise ConfigError(
                f"tasks.pose.knowledge: variant {config.variant!r} takes no knowledge token, only vitpose "
                "and vitpose-simple do; leave it false."
            )
        super().__init__(config, categories, VARIANTS[config.variant])
