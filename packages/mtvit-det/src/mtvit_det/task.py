"""The detection task: its variants behind one name."""

from typing import ClassVar

from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import TaskConfig
from mtvit_core.tasks.variant_task import VariantTask
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions
from mtvit_det.picked import PickedDetection
from mtvit_det.targets import DetTargets
from mtvit_det.variant import DetVariant
from mtvit_det.yolos import YolosDetection

#: The object of each value of ``variant``.
VARIANTS: dict[str, type[DetVariant]] = {"picked": PickedDetection, "yolos": YolosDetection}


class Detection(VariantTask[DetConfig, DetPredictions, DetTargets]):
    """Boxes of every category, by the variant that the config names."""

    name: ClassVar[str] = "det"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = DetConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    exportable: ClassVar[bool] = True
    variant: DetVariant

    def __init__(self, config: DetConfig, categories: Categories) -> None:
        """Build the variant.

        Args:
            config: Settings.
            categories: Classes of the data.

        Raises:
            ConfigError: the variant's settings do not fit the categories.
        """
        super().__init__(config, categories, VARIANTS[config.variant])
