"""Edges: how likely an edge runs through each pixel."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE
from mtvit_core.tasks.task import TaskConfig
from mtvit_dense.config import EdgesConfig
from mtvit_dense.decoders.head import DenseValues
from mtvit_dense.evaluators.edges import EdgesEvaluator
from mtvit_dense.tasks.dense_task import DenseTargets, DenseTask, mean_over


class Edges(DenseTask[EdgesConfig]):
    """Finds the pixels of edges."""

    name: ClassVar[str] = "edges"
    Config: ClassVar[type[TaskConfig]] = EdgesConfig
    needs: ClassVar[frozenset[str]] = frozenset({"edges"})

    @property
    def outputs(self) -> int:
        """One logit."""
        return 1

    def loss(self, predictions: DenseValues, targets: DenseTargets, match: Match | None) -> dict[str, Tensor]:
        """Return the binary cross-entropy; edges are few, so their pixels weigh more (Xie and Tu 2015)."""
        logits, truth = predictions.on_canvas()[:, 0], (targets.values[:, 0] > 0).to(predictions.values.dtype)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        weight = torch.where(truth > 0, self.config.positive, 1 - self.config.positive)
        return {"class": self.config.loss_class * mean_over(weight * entropy, targets.known)}

    def perfect(self, predictions: DenseValues, targets: DenseTargets) -> DenseValues:
        """Return logits that are certain of the label; only tests ask for them."""
        return DenseValues(torch.where(targets.values > 0, SURE, -SURE), predictions.canvas)

    @property
    def channels(self) -> tuple[str, ...]:
        """The probability of an edge."""
        return ("edge",)

    def told(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return probabilities."""
        return values.sigmoid()

    def distance(
        self, said: Float[Tensor, "B C h w"], taught: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B h w"]:
        """Return the cross-entropy against the teacher's probability, less that of the teacher itself."""
        share = taught.sigmoid()
        cross, own = (
            F.binary_cross_entropy_with_logits(logits, share, reduction="none") for logits in (said, taught)
        )
        return (cross - own)[:, 0]

    def evaluator(self) -> Evaluator:
        """Return an evaluator of the best F-measure."""
        return EdgesEvaluator(self.name, self.config.tolerance)
