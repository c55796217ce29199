"""Surface normals: a unit vector per pixel, x to the right, y up, z towards the viewer."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.losses.matching import Match
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import DenseMap
from mtvit_core.tasks.task import TaskConfig
from mtvit_dense.config import NormalsConfig
from mtvit_dense.decoders.head import DenseHead, DenseValues
from mtvit_dense.evaluators.normals import NormalsEvaluator
from mtvit_dense.tasks.dense_task import DenseTargets, DenseTask, mean_over


class Normals(DenseTask[NormalsConfig]):
    """Tells which way the surface at every pixel faces."""

    name: ClassVar[str] = "normals"
    Config: ClassVar[type[TaskConfig]] = NormalsConfig
    needs: ClassVar[frozenset[str]] = frozenset({"normals"})
    planes: ClassVar[int] = 3

    @property
    def outputs(self) -> int:
        """A vector of any length."""
        return 3

    def head(self, backbone: BackboneSpec) -> DenseHead:
        """Return the head, fresh; at first every surface faces the viewer."""
        head = super().head(backbone)
        with torch.no_grad():
            head.first_bias.copy_(torch.tensor([[0.0], [0.0], [1.0]]).expand_as(head.first_bias))
        return head

    def known(self, values: Float[Tensor, "B C H W"]) -> Bool[Tensor, "B H W"]:
        """Tell which pixels have a direction; a vector of length 0 has none."""
        return super().known(values) & (values.square().sum(1) > 0)

    def loss(self, predictions: DenseValues, targets: DenseTargets, match: Match | None) -> dict[str, Tensor]:
        """Return 1 - cos of the angle, averaged over the labelled pixels."""
        apart = self.distance(predictions.on_canvas(), targets.values)
        return {"cosine": self.config.loss_cosine * mean_over(apart, targets.known)}

    def perfect(self, predictions: DenseValues, targets: DenseTargets) -> DenseValues:
        """Return the label itself; only tests ask for it."""
        return DenseValues(targets.values, predictions.canvas)

    @property
    def channels(self) -> tuple[str, ...]:
        """Right, up, and towards the viewer."""
        return ("x", "y", "z")

    def told(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return unit vectors."""
        return F.normalize(values, dim=1)

    def result(self, at: ImageMeta, values: Float[Tensor, "C H W"]) -> DenseMap:
        """Return the unit vector of each pixel of the original."""
        return DenseMap(F.normalize(at.masks_to_original(values), dim=0), self.channels)

    def distance(
        self, said: Float[Tensor, "B C h w"], taught: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B h w"]:
        """Return 1 - cos."""
        return 1 - F.cosine_similarity(said, taught, dim=1, eps=1e-6)

    def evaluator(self) -> Evaluator:
        """Return an evaluator of angles."""
        return NormalsEvaluator(self.name)
