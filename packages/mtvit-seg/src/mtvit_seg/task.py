"""The segmentation task: its variants behind one name."""

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Int64
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.task import TaskConfig
from mtvit_core.tasks.variant_task import VariantTask
from mtvit_seg.config import SegConfig
from mtvit_seg.decoding.panoptic import PanopticResult, PanopticRule, decode_panoptic
from mtvit_seg.decoding.semantic import decode_semantic
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

    def panoptic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[PanopticResult]:
        """One segment for every pixel of the original images; ``stuff`` of the config is merged by class."""
        config, label_of_id = self.config, self.categories.label_of_id
        stuff = frozenset(label_of_id[id_] for id_ in config.stuff)
        rule = PanopticRule(stuff, config.panoptic_score, config.panoptic_overlap)
        return decode_panoptic(predictions, meta, self.categories, rule)

    def semantic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[Int64[Tensor, "H W"]]:
        """One class for every pixel of the original images, as an index into the categories."""
        return decode_semantic(predictions, meta)
