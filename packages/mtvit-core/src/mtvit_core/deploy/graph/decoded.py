"""A model whose output is what its tasks find on the canvas, as named tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mtvit_core.deploy.graph.letterboxed import Letterboxed, letterboxed
from mtvit_core.deploy.graph.outputs import KEPT, constants_of, kind_of
from mtvit_core.deploy.header import CONTENT, TaskOutputs
from mtvit_core.deploy.program import tensors_of
from mtvit_core.heads.nms import unrepeated
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.on_canvas import CanvasObjects, OnCanvas
from mtvit_core.structures.framing import Letterbox
from mtvit_core.tasks.task import View


class DecodedModel(nn.Module):
    """Images in, named tensors out: ``det/boxes``, ``det/scores`` and so on.

    Mirror images are averaged, and tasks that share queries agree, as in ``MultiTaskViT.answers``.
    """

    def __init__(
        self, model: MultiTaskViT, view: View, raw: bool = False, letterbox: Letterbox | None = None
    ) -> None:
        """Wrap a model.

        Args:
            model: The model.
            view: What its images show.
            raw: Whether predictions are told as they are, though tasks could decode them.
            letterbox: How images of any size come onto the canvas; None where canvases come in.
        """
        super().__init__()
        self.model, self.view, self.raw, self.letterbox = model, view, raw, letterbox

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Return the tensors of every task, by its name, a slash and that of the field.

        With letterboxing, boxes and keypoints are in pixels of the images, and ``content`` tells which part
        of masks and maps shows them.
        """
        if self.letterbox is None:
            return _named(self.said(images), None)
        placed = letterboxed(images, self.letterbox)
        tensors = _named(self.said(placed.canvases), placed)
        return {**tensors, CONTENT: placed.content.expand(images.shape[0], 2)}

    def said(self, images: UInt8[Tensor, "B 3 H W"]) -> dict[str, Any]:
        """Return what each task finds on the canvas, or its predictions where it cannot tell."""
        predictions = self.model.agreed(self._predictions, images, self.view)
        told: dict[str, Any] = {}
        for task in self.model.of_view(self.view):
            found = None if self.raw else task.on_canvas(predictions[task.name])
            told[task.name] = predictions[task.name] if found is None else found
        return told

    def _predictions(self, images: Tensor) -> dict[str, Any]:
        return self.model(images, self.view, proposals=False)  # type: ignore[no-any-return]  # untyped callables

    def outputs(self, images: UInt8[Tensor, "B 3 H W"]) -> Mapping[str, TaskOutputs]:
        """Return how each task's tensors are to be read, from a pass over some images."""
        return {name: _outputs(found) for name, found in self.said(images).items()}


def _named(said: Mapping[str, Any], placed: Letterboxed | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, found in said.items():
        tensors |= {f"{name}/{field}": value for field, value in _told(found, placed)}
    return tensors


def _told(found: Any, placed: Letterboxed | None = None) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(found, OnCanvas):
        yield from ((path.removeprefix("/"), value) for path, value in tensors_of(found, ""))
        return
    if placed is not None and isinstance(found, CanvasObjects):
        found = _on_image(found, placed)
    for field in fields(found):
        value = getattr(found, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
    if isinstance(found, CanvasObjects):
        yield KEPT, _kept(found, found.boxes.new_tensor(found.canvas) if placed is None else placed.size)


def _outputs(found: Any) -> TaskOutputs:
    names = tuple(name for name, _ in _told(found))
    if isinstance(found, OnCanvas):
        return TaskOutputs(kind_of(found), names, constants_of(found))
    return TaskOutputs("raw", names, {})


def _on_image(found: CanvasObjects, placed: Letterboxed) -> CanvasObjects:
    """Objects with boxes, cut at the sides, and keypoints in pixels of the image."""
    boxes = _cut(found.boxes * placed.scale.repeat(2), placed.size)
    if found.keypoints is None:
        return replace(found, boxes=boxes)
    places, scores = found.keypoints[..., :2] * placed.scale, found.keypoints[..., 2:]
    return replace(found, boxes=boxes, keypoints=torch.cat([places, scores], -1))


def _cut(boxes: Float[Tensor, "B M 4"], size: Tensor) -> Float[Tensor, "B M 4"]:
    return boxes.clamp(min=0).minimum(size.flip(0).repeat(2).to(boxes.dtype))


def _kept(found: CanvasObjects, size: Tensor) -> Bool[Tensor, "B M"]:
    """Which objects are results, as far as a canvas tells: boxes are cut at its sides, not the image's."""
    if found.nms >= 1:
        return torch.ones_like(found.scores, dtype=torch.bool)
    return unrepeated(_cut(found.boxes, size), found.nms, found.labels)
