"""Depth: a positive number per pixel, in the unit of the data."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.tasks.task import TaskConfig
from mtvit_dense.config import DepthConfig
from mtvit_dense.decoders.head import DenseHead, DenseValues
from mtvit_dense.evaluators.depth import DepthEvaluator
from mtvit_dense.tasks.dense_task import DenseTargets, DenseTask, mean_over

#: Smallest number whose logarithm or inverse is taken.
LEAST = 1e-6


class DepthHead(DenseHead):
    """Numbers above 0, by softplus: near 0 fine steps, from 1 on as they are."""

    def finish(self, numbers: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return log(1 + exp(y))."""
        return F.softplus(numbers)


class Depth(DenseTask[DepthConfig]):
    """Tells how far away every pixel is."""

    name: ClassVar[str] = "depth"
    Config: ClassVar[type[TaskConfig]] = DepthConfig
    needs: ClassVar[frozenset[str]] = frozenset({"depth"})

    @property
    def outputs(self) -> int:
        """Depth, or its inverse."""
        return 1

    def head(self, backbone: BackboneSpec) -> DepthHead:
        """Return the head, fresh."""
        return DepthHead(backbone, self.config, self.outputs)

    def known(self, values: Float[Tensor, "B C H W"]) -> Bool[Tensor, "B H W"]:
        """Tell which pixels have a depth; 0 and less means that none was measured."""
        return super().known(values) & (values[:, 0] > 0)

    def loss(self, predictions: DenseValues, targets: DenseTargets, match: Match | None) -> dict[str, Tensor]:
        """Return the absolute and the scale-invariant error; those with weight 0 are left out."""
        said = predictions.on_canvas()[:, 0]
        truth = self._turned(targets.values)[:, 0] if self.config.inverse else targets.values[:, 0]
        terms = {}
        if self.config.loss_abs or not self.config.loss_si:
            terms["abs"] = self.config.loss_abs * mean_over((said - truth).abs(), targets.known)
        if self.config.loss_si:
            lost = scale_invariant(said, truth, targets.known, self.config.si_mean)
            terms["si"] = self.config.loss_si * lost
        return terms

    def perfect(self, predictions: DenseValues, targets: DenseTargets) -> DenseValues:
        """Return the label itself; only tests ask for it."""
        values = self._turned(targets.values) if self.config.inverse else targets.values
        return DenseValues(values, predictions.canvas)

    @property
    def channels(self) -> tuple[str, ...]:
        """Depth."""
        return ("depth",)

    def told(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return depth, whatever the network predicts."""
        return self._turned(values) if self.config.inverse else values

    def teach(self, predictions: DenseValues) -> DenseValues:
        """Return depth, whatever the network predicts."""
        return DenseValues(self.told(predictions.values), predictions.canvas)

    def distance(
        self, said: Float[Tensor, "B C h w"], taught: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B h w"]:
        """Return the absolute difference, of inverses where the student predicts these."""
        return (said - (self._turned(taught) if self.config.inverse else taught)).abs()[:, 0]

    def evaluator(self) -> Evaluator:
        """Return an evaluator of absolute, relative and squared errors."""
        return DepthEvaluator(self.name)

    @staticmethod
    def _turned(values: Float[Tensor, "*any H W"]) -> Float[Tensor, "*any H W"]:
        return 1 / values.clamp(min=LEAST)


def scale_invariant(
    said: Float[Tensor, "B H W"],
    truth: Float[Tensor, "B H W"],
    known: Bool[Tensor, "B H W"],
    mean_share: float,
) -> Float[Tensor, ""]:
    """Return the scale-invariant error, averaged over the images that have labelled pixels.

        g = log d - log d*,  mean g^2 - share (mean g)^2        (Eigen et al. 2014, Eq. 4)

    Args:
        said: Depth d.
        truth: Label d*.
        known: Pixels that are labelled.
        mean_share: How much of the common offset is forgiven.
    """
    gap = torch.where(known, said.clamp(min=LEAST).log() - truth.clamp(min=LEAST).log(), 0.0)
    pixels = known.sum((1, 2))
    mean, square = (x.sum((1, 2)) / pixels.clamp(min=1) for x in (gap, gap.square()))
    return (square - mean_share * mean.square()).sum() / shared_count((pixels > 0).sum())
