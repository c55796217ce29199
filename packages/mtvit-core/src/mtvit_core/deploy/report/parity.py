"""An exported model held against its model: outputs, objects, latency, size."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.letterboxed import letterbox_of
from mtvit_core.deploy.report.agreement import Agreement, agreement
from mtvit_core.deploy.report.any_size import results_of_images
from mtvit_core.deploy.report.latency import Latency, latency
from mtvit_core.deploy.runtime.session import run_all
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT

#: AP that objects may lose before an export fails, by the type of its products.
MOST_LOST = {"fp32": 0.01, "fp16": 0.02, "bf16": 0.1, "int8": 0.1}


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with its model.

    Attributes:
        runtime: What runs it.
        precision: Type of its products.
        gaps: Largest difference of every output, of rows that are of the same query and class.
        rows: Share of the rows of each task that are.
        tasks: Objects of each task that finds some.
        torch_ms: Latency of the model for one image, decoding on the canvas included.
        export_ms: Latency of the exported model for the same.
        megabytes: Size of its files.
    """

    runtime: str
    precision: str
    gaps: dict[str, float]
    rows: dict[str, float]
    tasks: tuple[Agreement, ...]
    torch_ms: Latency
    export_ms: Latency
    megabytes: float

    def failures(self, most_lost: float) -> list[str]:
        """Say which tasks lose more AP than is allowed."""
        return [
            f"task {task.task!r}: its boxes have AP {task.ap:.3f} where those of the model are the truth, "
            f"and {task.found} of {task.objects} objects are found"
            for task in self.tasks
            if task.objects and not task.ap >= 1 - most_lost
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def parity(
    model: MultiTaskViT, exported: ExportedModel, file: Path, images: Sequence[Tensor], passes: int = 20
) -> Parity:
    """Compare an exported model with its model.

    Args:
        model: The model that was exported, its canvas that of the export.
        exported: The exported model.
        file: Its file.
        images: What both are shown, at least one.
        passes: Passes that are timed.
    """
    view, of_any_size = exported.view, exported.session.header.input == "image"
    inside = letterbox_of(model, view) if of_any_size else None
    graph = DecodedModel(model, view, _is_raw(exported), inside).eval()
    passed = _passes(exported, images)
    with evaluating(model):
        expected = _joined([{k: v.cpu().numpy() for k, v in graph(shown).items()} for shown in passed])
        torch_ms = latency(lambda: graph(passed[0][:1]), passes)
    gaps, rows = _gaps(exported, expected, _joined([run_all(exported.session, p.numpy()) for p in passed]))
    one = passed[0][:1].numpy()
    objects: tuple[Agreement, ...] = ()
    if view == "image":
        ours = model.predict(list(images), link=False)
        theirs = (
            results_of_images(exported, images) if of_any_size else exported.predict(list(images), link=False)
        )
        names = [task.name for task in model.of_view(view) if task.finds_objects]
        objects = tuple(agreement(name, ours, theirs) for name in names if any(map(len, ours)))
    return Parity(
        runtime=exported.session.runtime,
        precision=exported.session.header.precision,
        gaps=gaps,
        rows=rows,
        tasks=objects,
        torch_ms=torch_ms,
        export_ms=latency(lambda: run_all(exported.session, one), passes),
        megabytes=sum(part.stat().st_size for part in file.parent.glob(f"{file.stem}.*")) / 1e6,
    )


def _is_raw(exported: ExportedModel) -> bool:
    return all(told.kind == "raw" for told in exported.session.header.outputs.values())


def _passes(exported: ExportedModel, images: Sequence[Tensor]) -> list[Tensor]:
    """What the graph takes: canvases in one batch, or each image as it is."""
    if exported.session.header.input == "image":
        return [image[None] for image in images]
    return [torch.stack([_on_canvas(exported, image) for image in images])]


def _joined(found: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _on_canvas(exported: ExportedModel, image: Tensor) -> Tensor:
    if exported.view == "image":
        return exported.framing.apply(image)
    rows, columns = exported.session.header.canvas
    found: Tensor = torch.nn.functional.interpolate(image[None].float(), (rows, columns))[0].to(torch.uint8)
    return found


def _gaps(
    exported: ExportedModel, expected: dict[str, np.ndarray], found: Any
) -> tuple[dict[str, float], dict[str, float]]:
    gaps: dict[str, float] = {}
    rows: dict[str, float] = {}
    for task, told in exported.session.header.outputs.items():
        same = np.array(True)
        if told.kind == "objects":
            ids = [f"{task}/{name}" for name in ("queries", "labels")]
            same = np.all([expected[name] == found[name] for name in ids], 0)
            rows[task] = float(same.mean())
        for name in (f"{task}/{own}" for own in told.names):
            gap = np.abs(expected[name].astype(np.float64) - found[name].astype(np.float64))
            kept = gap[same] if same.ndim else gap
            gaps[name] = float(kept.max()) if kept.size else 0.0
    return gaps, rows
