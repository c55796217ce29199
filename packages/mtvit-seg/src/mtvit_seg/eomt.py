"""The variant of Kerssies et al. 2025: learned queries without boxes, softmax with a class "no object"."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.losses.classification import softmax_class_loss
from mtvit_core.losses.distillation import expected_softmax_cost, soft_softmax_loss
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.losses.matching_costs import softmax_cost
from mtvit_core.losses.perfect import perfect_logits
from mtvit_seg.head import MaskHead, SegPredictions
from mtvit_seg.losses.distill import SegLesson, eomt_lesson, soft_mask_losses
from mtvit_seg.losses.loss import mask_losses
from mtvit_seg.losses.points import Sampling
from mtvit_seg.losses.targets import SegTargets
from mtvit_seg.variant import SegVariant


class EomtSegmentation(SegVariant):
    """Queries that attend inside their own intermediate mask in training (variant ``eomt``)."""

    @property
    def columns(self) -> Int64[Tensor, " C"]:
        """Class column of each category."""
        return torch.arange(len(self.categories))

    def enter(self, backbone: BackboneSpec) -> int:
        """Return the block before which the queries join, by default the third from last."""
        return max(0, backbone.depth - (self.config.blocks or 3))

    def layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """Return the depths that are supervised: the first prediction is that of the queries at entry."""
        first = self.enter(backbone) if self.config.deep_supervision else backbone.depth
        return tuple(range(first, backbone.depth + 1))

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of learned queries."""
        count = self.config.queries
        return [
            TokenGroup(
                name=self.name,
                count=count,
                enter=self.enter(backbone),
                source=LearnedQueries(count, backbone.width, std=1.0),
                visibility=self.config.visibility or "joint",
                layers=self.layers(backbone),
                masked=self.config.masked_attention,
            )
        ]

    def head(self, backbone: BackboneSpec) -> MaskHead:
        """The published head."""
        return MaskHead(backbone, len(self.categories), self.enter(backbone), self.layers(backbone))

    def sampling(self, predictions: SegPredictions) -> Sampling | None:
        """Random points, unless the settings say."""
        return None if self.config.sampling == "dense" else self.random_points()

    @torch.no_grad()
    def cost(self, predictions: SegPredictions, targets: SegTargets) -> Float[Tensor, "L B Q M"]:
        """Class, mask and dice cost."""
        classes = softmax_cost(predictions.logits, targets.labels)
        return self.mask_cost(predictions, targets) + self.config.cost_class * classes

    def loss(
        self, predictions: SegPredictions, targets: SegTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, mask and dice terms."""
        assert match is not None
        masks = mask_losses(predictions, targets, match, self.sampling(predictions))
        known = (targets.labels, targets.labelled, targets.annotated)
        entropy = softmax_class_loss(predictions.logits, *known, match, self.config.no_object)
        return {"class": self.config.loss_class * entropy, **self.mask_terms(masks)}

    def teach(self, predictions: SegPredictions) -> SegLesson:
        """Objects with the probability of every category and every pixel."""
        return eomt_lesson(predictions)

    def distill(self, predictions: SegPredictions, lesson: SegLesson) -> dict[str, Tensor]:
        """Class, mask and dice terms."""
        objects, logits = lesson.objects, predictions.logits
        with torch.no_grad():
            classes = expected_softmax_cost(logits, self.columns, objects)
            cost = self.soft_mask_cost(predictions, lesson) + self.config.cost_class * classes
        match = match_all({self.name: (cost, objects.counts)})[self.name]
        masks = soft_mask_losses(predictions, lesson, match)
        divergence = soft_softmax_loss(logits, self.columns, objects, match, self.config.no_object)
        return {"class": self.config.loss_class * divergence, **self.mask_terms(masks)}

    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: SegTargets
    ) -> Float[Tensor, "L B Q C"]:
        """High for the class, and for "no object" where there is none."""
        return perfect_logits(logits, targets.labels, targets.valid, no_object=len(self.categories))

    def progress(self, head: nn.Module, fraction: float) -> None:
        """Fade the masked attention out."""
        if isinstance(head, MaskHead) and self.config.anneal:
            head.anneal(fraction)
