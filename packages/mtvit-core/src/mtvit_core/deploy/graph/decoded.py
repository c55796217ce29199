"""A model whose output is what its tasks find on the canvas, as named tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor, nn

from mtvit_core.deploy.graph.outputs import KEPT, constants_of, kind_of
from mtvit_core.deploy.header import TaskOutputs
from mtvit_core.deploy.program import tensors_of
from mtvit_core.heads.nms import unrepeated
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.on_canvas import CanvasObjects, OnCanvas
from mtvit_core.tasks.task import View


class DecodedModel(nn.Module):
    """Images in, named tensors out: ``det/boxes``, ``det/scores`` and so on.

    Mirror images are averaged, and tasks that share queries agree, as in ``MultiTaskViT.answers``.
    """

    def __init__(self, model: MultiTaskViT, view: View, raw: bool = False) -> None:
        """Wrap a model.

        Args:
            model: The model.
            view: What its images show.
            raw: Whether predictions are told as they are, though tasks could decode them.
        """
        super().__init__()
        self.model, self.view, self.raw = model, view, raw

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Return the tensors of every task, by its name, a slash and that of the field."""
        tensors: dict[str, Tensor] = {}
        for name, found in self.said(images).items():
            tensors |= {f"{name}/{field}": value for field, value in _told(found)}
        return tensors

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


def _told(found: Any) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(found, OnCanvas):
        yield from ((path.removeprefix("/"), value) for path, value in tensors_of(found, ""))
        return
    for field in fields(found):
        value = getattr(found, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
    if isinstance(found, CanvasObjects):
        yield KEPT, _kept(found)


def _outputs(found: Any) -> TaskOutputs:
    names = tuple(name for name, _ in _told(found))
    if isinstance(found, OnCanvas):
        return TaskOutputs(kind_of(found), names, constants_of(found))
    return TaskOutputs("raw", names, {})


def _kept(found: CanvasObjects) -> Bool[Tensor, "B M"]:
    """Which objects are results, as far as the canvas tells: boxes are cut at its sides, not the image's."""
    if found.nms >= 1:
        return torch.ones_like(found.scores, dtype=torch.bool)
    limit = found.boxes.new_tensor([found.canvas[1], found.canvas[0]] * 2)
    return unrepeated(found.boxes.clamp(min=0).minimum(limit), found.nms, found.labels)
