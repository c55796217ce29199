"""Semantic segmentation: one class per pixel, without objects."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap
from mtvit_core.tasks.task import TaskConfig
from mtvit_dense.config import SemanticConfig
from mtvit_dense.decoders.head import DenseValues
from mtvit_dense.evaluators.semantic import SemanticMapEvaluator
from mtvit_dense.tasks.dense_task import DenseTargets, DenseTask, mean_over

#: Keeps the Dice loss of a class finite; as published with the thesis's model and many others.
EPSILON = 1e-5
#: Classes that are brought to the size of the original at a time: all of them could fill the memory.
_AT_ONCE = 8


class Semantic(DenseTask[SemanticConfig]):
    """Names the class of every pixel."""

    name: ClassVar[str] = "semantic"
    Config: ClassVar[type[TaskConfig]] = SemanticConfig
    needs: ClassVar[frozenset[str]] = frozenset({"semantic"})

    @classmethod
    def settings_for(
        cls, settings: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Any]:
        """Take the names of the classes from the data, unless the settings name some."""
        named = classes.get(cls.name)
        return settings if settings.get("classes") or not named else {**settings, "classes": list(named)}

    @cached_property
    def classes(self) -> Categories:
        """The classes; the id of each is its number in the label."""
        names = self.config.classes or ("background", *(category.name for category in self.categories))
        return Categories(tuple(Category(number, name) for number, name in enumerate(names)))

    @property
    def map_classes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the classes in the order of their numbers."""
        return {self.name: tuple(category.name for category in self.classes)}

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.classes)

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any
    ) -> DenseTargets:
        """Stack the labels.

        Raises:
            DataError: a label is the number of no class.
        """
        found = super().targets(annotations, canvas, device)
        most = int(found.values.max()) if found.values.numel() else 0
        if most >= len(self.classes):
            raise DataError(
                f"task {self.name!r}: a pixel is of class {most}, but there are {len(self.classes)} classes, "
                f"numbered from 0; list them all in tasks.{self.name}.classes."
            )
        return found

    def loss(self, predictions: DenseValues, targets: DenseTargets, match: Match | None) -> dict[str, Tensor]:
        """Return the cross-entropy of the labelled pixels, and the Dice loss of the classes shown."""
        logits, truth = predictions.on_canvas(), targets.values[:, 0].long()
        return {
            "class": self.config.loss_class
            * mean_over(F.cross_entropy(logits, truth, reduction="none"), targets.known),
            "dice": self.config.loss_dice * soft_dice(logits.softmax(1), targets),
        }

    def perfect(self, predictions: DenseValues, targets: DenseTargets) -> DenseValues:
        """Return logits that are certain of the label; only tests ask for them."""
        truth = F.one_hot(targets.values[:, 0].long(), len(self.classes)).permute(0, 3, 1, 2)
        return DenseValues(SURE * truth.float(), predictions.canvas)

    @property
    def channels(self) -> tuple[str, ...]:
        """The classes, of each its logit."""
        return self.map_classes[self.name]

    def result(self, at: ImageMeta, values: Float[Tensor, "C H W"]) -> CategoryMap:
        """Return the most likely class of each pixel of the original."""
        best = torch.full((at.height, at.width), -torch.inf)
        label = torch.zeros(at.height, at.width, dtype=torch.int64)
        for first in range(0, len(values), _AT_ONCE):
            score, place = at.masks_to_original(values[first : first + _AT_ONCE]).max(0)
            label = torch.where(score > best, place + first, label)
            best = torch.maximum(best, score)
        return CategoryMap.semantic(label, self.classes)

    def distill(self, predictions: DenseValues, lesson: DenseValues) -> dict[str, Tensor]:
        """Return the mean divergence from the teacher's classes.

        Raises:
            ConfigError: the teacher knows another number of classes.
        """
        theirs, ours = lesson.values.shape[1], predictions.values.shape[1]
        if theirs != ours:
            raise ConfigError(
                f"distill: the teacher's task {self.name!r} knows {theirs} classes, the student's {ours}; "
                f"give both the same tasks.{self.name}.classes."
            )
        return super().distill(predictions, lesson)

    def distance(
        self, said: Float[Tensor, "B C h w"], taught: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B h w"]:
        """Return KL(teacher, student)."""
        return F.kl_div(said.log_softmax(1), taught.log_softmax(1), reduction="none", log_target=True).sum(1)

    def evaluator(self) -> Evaluator:
        """Return an evaluator of mIoU and pixel accuracy."""
        return SemanticMapEvaluator(self.name, self.classes)


def soft_dice(probabilities: Float[Tensor, "B C H W"], targets: DenseTargets) -> Float[Tensor, ""]:
    """Return the soft Dice loss, averaged over the classes that each image shows (Milletari et al. 2016).

        1 - (2 sum p y + eps) / (sum p + sum y + eps)

    Args:
        probabilities: Of each class.
        targets: The label; pixels without one count nowhere.
    """
    known = targets.known[:, None]
    truth = F.one_hot(targets.values[:, 0].long(), probabilities.shape[1]).permute(0, 3, 1, 2) & known
    both = (probabilities * truth).sum((2, 3))
    sizes = (probabilities * known).sum((2, 3)) + truth.sum((2, 3))
    lost = 1 - (2 * both + EPSILON) / (sizes + EPSILON)
    shown = truth.any(-1).any(-1)
    return (lost * shown).sum() / shared_count(shown.sum())
