"""The segmentation task: its variants behind one name."""

from typing import ClassVar

from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import TaskConfig
from mtvit_core.tasks.variant_task import VariantTask
from mtvit_seg.config import SegConfig
from mtvit_seg.eomt import EomtSegmentation
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.targets import SegTargets
from mtvit_seg.picked import PickedSegmentation
from mtvit_seg.variant import SegVariant

#: The object of each value of ``variant``.
VARIANTS: dict[str, type[SegVariant]] = {"picked": PickedSegmentation, "eomt": EomtSegmentation}


class Segmentation(VariantTask[SegConfig, SegPredictions, SegTargets]):
    """Masks of every category, by the variant that the config names."""

    name: ClassVar[str] = "seg"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = SegConfig
    needs: ClassVar[frozenset[str]] = frozenset({"masks"})
    exportable: ClassVar[bool] = True

    def __init__(self, config: SegConfig, categories: Categories) -> None:
        """Build the variant.

        Args:
            config: Settings.
            categories: Classes of the data.

        Raises:
            ConfigError: ``stuff`` names an id that is no category.
        """
        super().__init__(config, categories, VARIANTS[config.variant])
        unknown = sorted(set(config.stuff) - set(categories.label_of_id))
        if unknown:
            known = ", ".join(str(category.id) for category in categories)
            raise ConfigError(
                f"config: tasks.seg.stuff holds {unknown[0]}, which is no category id; the ids are {known}."
            )
