"""A model as a program of tensor operations: ``torch.export``, and from there ONNX and others."""

import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.export import ExportedProgram

from mtvit_core.arguments import require, shown
from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import keeping_modes
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks.task import View


class TensorsOnly(nn.Module):
    """A model whose raw predictions are a flat mapping of tensors."""

    def __init__(self, model: MultiTaskViT, view: View) -> None:
        """Wrap a model.

        Args:
            model: The model.
            view: What its images show.
        """
        super().__init__()
        self.model, self.view = model, view

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Return every tensor of the predictions by its path, such as ``det/logits``."""
        answers = self.model(images, self.view)
        return {path: value for name in answers for path, value in tensors_of(answers[name], name)}


def export(model: MultiTaskViT, view: View = "image", images: int = 1) -> ExportedProgram:
    """Follow the raw predictions of a model, decoding left out; shapes are fixed.

    Args:
        model: The model; it keeps its mode.
        view: What the images show; ``person`` for crops of top-down tasks.
        images: Images B of a pass, each on the canvas of the view.

    Returns:
        A program ``(images: uint8 B x 3 x H x W) -> tensors by path``, for ``torch.export.save`` or
        ``torch.onnx.export``.

    Raises:
        ConfigError: no task has this view, or one of them does not say that it can be exported.
    """
    require("export: model", model, MultiTaskViT, "a model of mtvit")
    if not isinstance(images, int) or isinstance(images, bool) or images < 1:
        raise ConfigError(f"export: images is {shown(images)}; give a whole number from 1 up.")
    check_exportable(model, view)
    pixels = torch.zeros(images, 3, *model.canvases[view], dtype=torch.uint8, device=model.device)
    with keeping_modes(model), torch.no_grad(), warnings.catch_warnings():
        # torchvision describes its own non-maximum suppression by a name that torch gives up.
        warnings.filterwarnings("ignore", ".*create_unbacked_symint", FutureWarning)
        return torch.export.export(TensorsOnly(model.eval(), view), (pixels,), strict=False)


def check_exportable(model: MultiTaskViT, view: View) -> None:
    """Refuse a model that no graph can be made of.

    Raises:
        ConfigError: no task has this view, or one of them does not say that it can be exported.
    """
    tasks = model.of_view(view)
    if not tasks:
        raise ConfigError(
            f"export: no task looks at {shown(view)}; the model looks at {', '.join(model.views)}."
        )
    for task in tasks:
        if not task.exportable:
            raise ConfigError(
                f"export: task {task.name!r} does not say that it can be exported; build the model without "
                f"it, or set {type(task).__name__}.exportable where its head is made of tensor operations "
                "alone."
            )


def tensors_of(holder: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a dataclass and those inside it, each by its path.

    Args:
        holder: The dataclass.
        path: Its own path.
    """
    for field in fields(holder):
        value, place = getattr(holder, field.name), f"{path}/{field.name}"
        if isinstance(value, Tensor):
            yield place, value
        elif is_dataclass(value):
            yield from tensors_of(value, place)
