"""A model followed by ``torch.export``, with what its file is to say of it."""

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from mtvit_core.__about__ import __version__
from mtvit_core.backbones.interface import check_divides
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.letterboxed import letterbox_of
from mtvit_core.deploy.header import ExportHeader, TaskOutputs
from mtvit_core.deploy.program import check_exportable
from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import keeping_modes
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.sharing.shares import settled
from mtvit_core.model.writing import header_of
from mtvit_core.structures.framing import Letterbox
from mtvit_core.tasks.task import View

#: Most images of a pass of a graph whose number of images may vary.
MOST = 64
#: Fewest and most pixels of a side of an image that a graph letterboxes.
SIDES = (2, 2**14)
#: Images that it is followed with: one would be taken for a constant.
_SAMPLE = 3


@dataclass(frozen=True)
class Captured:
    """A model as a graph.

    Attributes:
        program: From uint8 images B x 3 x H x W to the tensors that ``header`` names, in this order.
        header: What the file of the graph says.
    """

    program: ExportedProgram
    header: ExportHeader


def with_canvas(model: MultiTaskViT, view: View, size: tuple[int, int] | None) -> MultiTaskViT:
    """Return the model, its weights shared, for letterboxed canvases of one size.

    Args:
        model: The model.
        view: The view whose canvases are meant.
        size: Rows and columns; None for those that it is built for.

    Raises:
        ConfigError: the patch does not divide the size, or canvases of the model differ in size and none is
            given.
    """
    if size is None:
        if view == "image" and not isinstance(model.framing, Letterbox):
            raise ConfigError(
                "export: the canvases of this model differ in size from image to image, and a graph takes "
                "one size; give it with --size H W, images are then letterboxed."
            )
        return model
    if view == "person":
        raise ConfigError(
            "export: crops of people have the size that the heads are built for; leave --size out."
        )
    check_divides(size, model.backbone.spec.patch, "export: --size")
    changed = copy.copy(model)
    changed.canvases = {**model.canvases, view: size}
    changed.framing = Letterbox(*size)
    return changed


def capture(
    model: MultiTaskViT, view: View, batch: int | None = None, raw: bool = False, letterbox: bool = False
) -> Captured:
    """Follow a model through one pass.

    Args:
        model: The model; it keeps its mode.
        view: What the images show.
        batch: Images of every pass; None for any number from 1 to ``MOST``.
        raw: Whether predictions are told as they are, not what tasks find.
        letterbox: Whether the graph takes images of any size, and letterboxes them itself.

    Raises:
        ConfigError: no task has this view, one does not say that it can be exported, or torch cannot follow;
            or the graph is to letterbox, and a task tells what only means something on the canvas.
    """
    model = settled(model)  # for gates that are learned are numbers that torch cannot follow
    check_exportable(model, view)
    count = _SAMPLE if batch is None else batch
    rows, columns = model.canvases[view]
    shape: dict[int, Any] = {0: Dim("batch", min=1, max=MOST) if batch is None else Dim.STATIC}
    size = (rows, columns)
    if letterbox:  # images of another size than the canvas, lest one is taken for the other
        size = (rows + 3, columns + 5)
        shape |= {2: Dim("height", min=SIDES[0], max=SIDES[1]), 3: Dim("width", min=SIDES[0], max=SIDES[1])}
    images = torch.zeros(count, 3, *size, dtype=torch.uint8, device=model.device)
    inside = letterbox_of(model, view) if letterbox else None
    with keeping_modes(model), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells its own future, which users cannot change
        graph = DecodedModel(model.eval(), view, raw, inside).eval()
        outputs = graph.outputs(images[..., :rows, :columns])
        if letterbox:
            _check_decoded(outputs)
        try:
            program = torch.export.export(graph, (images,), dynamic_shapes={"images": shape}, strict=False)
        except Exception as cause:
            raise ConfigError(_unfollowed(cause, batch)) from cause
    header = ExportHeader(
        version=__version__,
        view=view,
        canvas=model.canvases[view],
        batch=(1, MOST) if batch is None else (batch, batch),
        precision="fp32",
        outputs=outputs,
        shares=tuple(name for name in outputs if model.shares(name)),
        model=json.loads(json.dumps(header_of(model, {}))),
        input="image" if letterbox else "canvas",
    )
    return Captured(program, header)


def _check_decoded(outputs: Mapping[str, TaskOutputs]) -> None:
    raw = [task for task, told in outputs.items() if told.kind == "raw"]
    if raw:
        others = ",".join(task for task in outputs if task not in raw)
        advice = f", or export the others with --tasks {others}" if others else ""
        raise ConfigError(
            f"export: task {raw[0]!r} tells raw predictions, which are of the canvas and not of the image; "
            f"leave --letterbox out{advice}."
        )


def _unfollowed(cause: Exception, batch: int | None) -> str:
    first = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    advice = (
        "a head fixes the number of images, as by len() of a tensor or a loop over images: give --batch 1"
        if batch is None
        else "export the tasks one by one, with --tasks, to see which it is"
    )
    return f"export: torch cannot follow the model ({first:.200}); {advice}."
