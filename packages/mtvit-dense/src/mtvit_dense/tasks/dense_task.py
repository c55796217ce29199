"""What all dense tasks share: a dense label on the canvas, a map over the original image, no tokens."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasMap, OnCanvas
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import DenseMap, PixelMap
from mtvit_core.tasks.task import API, Task
from mtvit_dense.config import DenseConfig
from mtvit_dense.decoders.fuse import FuseRequest
from mtvit_dense.decoders.head import DenseHead, DenseValues, resized


@dataclass(frozen=True)
class DenseTargets:
    """A dense label on the canvas.

    Attributes:
        values: One plane, or three of a direction; 0 where unknown.
        known: Which pixels are labelled.
        labelled: Which images carry the label.
        counts: 0 for each image: there are no objects.
    """

    values: Float[Tensor, "B C H W"]
    known: Bool[Tensor, "B H W"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]


C = TypeVar("C", bound=DenseConfig)


class DenseTask(Task[C, DenseValues, DenseTargets]):
    """Says something of every pixel, learned from the dense label of the task's own name.

    A subclass with another ``name`` learns from another label: two labels of one kind are two tasks.

    Attributes:
        planes: Planes of the label: 1, or 3 for directions.
    """

    api: ClassVar[int] = API
    exportable: ClassVar[bool] = True
    planes: ClassVar[int] = 1

    @property
    def finds_objects(self) -> bool:
        """No objects."""
        return False

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers per pixel that the network gives."""

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Add no tokens."""
        return []

    def pixel_decoder(self, backbone: BackboneSpec) -> FuseRequest | None:
        """Ask for the decoder that all dense tasks of the same settings share."""
        fuses = self.config.decoder == "fuse"
        return FuseRequest(self.config.channels, self.config.depths) if fuses else None

    def head(self, backbone: BackboneSpec) -> DenseHead:
        """Return the head, fresh."""
        return DenseHead(backbone, self.config, self.outputs)

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any
    ) -> DenseTargets:
        """Stack the labels; images without one have no labelled pixel."""
        labelled = torch.tensor([self.name in a.has for a in annotations], dtype=torch.bool)
        values = torch.full((len(annotations), self.planes, *canvas), torch.nan)
        for plane, annotation in zip(values, annotations, strict=True):
            if self.name in annotation.has:
                plane.copy_(annotation.maps[self.name].reshape(self.planes, *canvas))
        values = values.to(device)
        known = self.known(values)
        return DenseTargets(
            torch.where(known[:, None], values, 0.0), known, labelled.to(device), (0,) * len(annotations)
        )

    def known(self, values: Float[Tensor, "B C H W"]) -> Bool[Tensor, "B H W"]:
        """Tell which pixels have a label that can be learned from."""
        return values.isfinite().all(1)

    def decode(self, predictions: DenseValues, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return one map per image, at the size of the original; one after the other, as maps are large."""
        each = [DenseValues(one[None].float().cpu(), predictions.canvas) for one in predictions.values]
        pairs = zip(each, meta, strict=True)
        return [result for one, at in pairs for result in self.from_canvas(self.on_canvas(one), [at])]

    def on_canvas(self, predictions: DenseValues) -> CanvasMap:
        """Return what is said of each pixel of the canvas."""
        return CanvasMap(self.told(predictions.on_canvas()), self.channels)

    def from_canvas(self, found: OnCanvas, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return one map per image, at the size of the original."""
        assert isinstance(found, CanvasMap)
        return [
            replace(
                ImageResult.empty(at, self.categories),
                maps={self.name: self.result(at, values.float().cpu())},
            )
            for values, at in zip(found.values, meta, strict=True)
        ]

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """Names of what ``told`` returns."""

    def told(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return what the network's numbers mean, in a form that any program can read."""
        return values

    def result(self, at: ImageMeta, values: Float[Tensor, "C H W"]) -> PixelMap:
        """Return what is said of an image.

        Args:
            at: The way back to its original.
            values: What was told of each pixel of the canvas.
        """
        return DenseMap(at.masks_to_original(values), self.channels)

    def teach(self, predictions: DenseValues) -> DenseValues:
        """Return what every decoder of the task can learn from: the predictions."""
        return predictions

    def distill(self, predictions: DenseValues, lesson: DenseValues) -> dict[str, Tensor]:
        """Return the mean distance from the lesson, over all cells of the student's grid."""
        taught = resized(lesson.values, (predictions.values.shape[-2], predictions.values.shape[-1]))
        apart = self.distance(predictions.values, taught.to(predictions.values.dtype))
        return {"map": apart.sum() / shared_count(torch.tensor(apart.numel(), device=apart.device))}

    @abstractmethod
    def distance(
        self, said: Float[Tensor, "B C h w"], taught: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B h w"]:
        """Return how far what a student says is from what a teacher says."""


def mean_over(values: Float[Tensor, "B H W"], known: Bool[Tensor, "B H W"]) -> Float[Tensor, ""]:
    """Return the mean over the labelled pixels of the whole batch; exactly 0 where there is none."""
    return (values * known).sum() / shared_count(known.sum())
