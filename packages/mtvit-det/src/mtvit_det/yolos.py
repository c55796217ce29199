"""The variant of Fang et al. 2021: learned tokens from block 0, softmax with a class "no object"."""

from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.losses.classification import softmax_class_loss
from mtvit_core.losses.distillation import SoftObjects, expected_softmax_cost, soft_softmax_loss
from mtvit_core.losses.matching import Match
from mtvit_core.losses.matching_costs import softmax_cost
from mtvit_core.losses.perfect import perfect_logits
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasObjects
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_det.config import DetConfig
from mtvit_det.decode import softmax_objects
from mtvit_det.head import DetPredictions, YolosHead
from mtvit_det.targets import DetTargets
from mtvit_det.variant import DetVariant


class YolosDetection(DetVariant):
    """DET tokens of its own, supervised at the output alone (variant ``yolos``)."""

    usual_cost_class: ClassVar[float] = 1.0  # DETR's

    def __init__(self, config: DetConfig, categories: Categories) -> None:
        """Give every category a column, in order or by its id.

        Args:
            config: Settings.
            categories: Classes of the data.

        Raises:
            ConfigError: ``id_columns`` has no column for the id of a category.
        """
        super().__init__(config, categories)
        ids, count = [category.id for category in categories], config.id_columns
        for odd in [id_ for id_ in ids if count is not None and not 0 <= id_ < count][:1]:
            raise ConfigError(
                f"config: tasks.det.id_columns is {count}, but category {odd} needs its id as "
                "column; leave the setting out for a column per category."
            )
        self.count = count or len(categories)
        self.columns = torch.tensor(range(len(ids)) if count is None else ids, dtype=torch.int64)

    @property
    def reads_patches(self) -> bool:
        """The head reads the DET tokens alone."""
        return False

    def layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """The output."""
        return (backbone.depth,)

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of learned tokens."""
        count, tables = self.config.queries, backbone.depth - 1 if self.config.token_positions else 0
        learned = LearnedQueries(count, backbone.width, tables=tables)
        visibility = self.config.visibility or "joint"
        return [TokenGroup(self.name, count, 0, learned, visibility, self.layers(backbone))]

    def head(self, backbone: BackboneSpec) -> YolosHead:
        """Two perceptrons on the tokens."""
        return YolosHead(backbone.width, self.count)

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """Class columns, of which some may be of no category, and "no object"."""
        names: list[Hashable] = [None] * self.count
        for column, category in zip(self.columns.tolist(), self.categories, strict=True):
            names[column] = category.name
        return {"head.class_embed.layers.2": [*names, 0]}

    def config_for(self, categories: Categories) -> DetConfig:
        """Columns by id are of the categories that the weights were trained for; others are in order."""
        return self.config.model_copy(update={"id_columns": None})

    def probabilities(self, logits: Float[Tensor, "*any C"]) -> Float[Tensor, "*any C2"]:
        """Softmax over all columns, those of the categories alone."""
        return logits.softmax(-1)[..., self.columns.to(logits.device)]

    def class_cost(
        self, logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "L B Q M"]:
        """Minus the probability."""
        return softmax_cost(logits, labels)

    def class_loss(self, predictions: DetPredictions, targets: DetTargets, match: Match) -> Float[Tensor, ""]:
        """Cross-entropy with "no object", open where a class is not annotated."""
        known = (targets.labels, targets.labelled, targets.annotated)
        return softmax_class_loss(predictions.logits, *known, match, self.config.no_object)

    def soft_class_cost(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects
    ) -> Float[Tensor, "L B Q M"]:
        """Minus the probability, expected under the teacher's."""
        return expected_softmax_cost(logits, self.columns, lesson)

    def soft_class_loss(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects, match: Match
    ) -> Float[Tensor, ""]:
        """Divergence from the teacher's classes and "no object"."""
        return soft_softmax_loss(logits, self.columns, lesson, match, self.config.no_object)

    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: DetTargets
    ) -> Float[Tensor, "L B Q C"]:
        """High for the class, and for "no object" where there is none."""
        return perfect_logits(logits, targets.labels, targets.valid, no_object=logits.shape[-1] - 1)

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """A box per token in original pixels, best first."""
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: DetPredictions) -> CanvasObjects:
        """A box per token."""
        return softmax_objects(predictions, self.columns)
