"""Exported graphs against their model: the same objects on many images, any batch, three canvases?

    python -m benchmarks.robustness.export_parity --model runs/demo --images scenes/val2017 coco/val2017

Exports to ONNX, and from there to OpenVINO, for every --canvas; runs each file in passes of --batches.
Prints for each folder of images the largest difference of the outputs, of rows of the same query and class,
the share of such rows, objects that both find, and AP of the export where the model is the truth. Ends with
code 1 where an object is lost or added, or an output differs by more than --limit of its largest number.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.graph.capture import capture, with_canvas
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.files import onnx_to_openvino, write
from mtvit_core.deploy.report.agreement import agreement
from mtvit_core.deploy.runtime.session import Session, open_session
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult

#: Outputs in pixels.
PIXELS = ("boxes", "keypoints")


@dataclass(frozen=True)
class Expected:
    """What the model says of one folder: tensors by output name, and results."""

    name: str
    images: Sequence[Tensor]
    canvases: np.ndarray
    tensors: dict[str, np.ndarray]
    results: Sequence[ImageResult]


def expected(model: MultiTaskViT, folder: Path, count: int) -> Expected:
    """Run the model on the images of a folder."""
    images = [mtvit_core.read_image(path) for path in mtvit_core.find_images([folder])[:count]]
    canvases = torch.stack([model.framing.apply(image) for image in images])
    graph = DecodedModel(model, "image").eval()
    with evaluating(model):
        parts = [graph(part) for part in canvases.split(8)]
    tensors = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    return Expected(folder.name, images, canvases.numpy(), tensors, model.predict(images, link=False))


def gaps(session: Session, truth: Expected, batch: int) -> tuple[dict[str, float], float]:
    """Return the largest difference of every output in passes of some images, and the share of rows alike."""
    passes = [session.run(truth.canvases[i : i + batch]) for i in range(0, len(truth.canvases), batch)]
    found = {name: np.concatenate([part[name] for part in passes]) for name in passes[0]}
    largest: dict[str, float] = {}
    alike: list[float] = []
    for task, told in session.header.outputs.items():
        same = np.ones(1, bool)
        if told.kind == "objects":
            ids = [f"{task}/{name}" for name in ("queries", "labels")]
            same = np.all([truth.tensors[name] == found[name] for name in ids], 0)
            alike.append(float(same.mean()))
        for name in (f"{task}/{own}" for own in told.names if own not in ("queries", "labels", "kept")):
            apart = np.abs(truth.tensors[name].astype(np.float64) - found[name])
            chosen = apart[same] if told.kind == "objects" else apart
            largest[name] = float(chosen.max()) if chosen.size else 0.0
    return largest, min(alike, default=1.0)


def compare(
    model: MultiTaskViT, file: Path, truths: Sequence[Expected], batches: Sequence[int], limit: float
) -> bool:
    """Print the rows of one file; tell whether all is as it should be."""
    session, sound = open_session(file, "cpu", 1), True
    runtime = "OpenVINO" if file.suffix == ".xml" else "ONNX Runtime"
    canvas = "x".join(map(str, session.header.canvas))
    for truth in truths:
        found = ExportedModel(session).predict(list(truth.images), link=False)
        tasks = [task.name for task in model.task_list if task.finds_objects]
        agreed = [agreement(name, truth.results, found) for name in tasks]
        objects = ", ".join(f"{a.task} {a.found} of {a.objects} ({a.extra} more)" for a in agreed)
        ap = min(a.ap for a in agreed)
        sound &= all(a.found == a.objects and not a.extra for a in agreed)
        for batch in batches:
            largest, alike = gaps(session, truth, batch)
            pixels = max(v for name, v in largest.items() if name.endswith(PIXELS))
            others = {name: v for name, v in largest.items() if not name.endswith(PIXELS)}
            worst = max(others, key=lambda name: others[name])
            span = {name: max(1.0, float(np.abs(truth.tensors[name]).max())) for name in largest}
            sound &= all(apart <= limit * span[name] for name, apart in largest.items())
            cells = [runtime, canvas, f"{truth.name}, {len(truth.images)}", str(batch)]
            cells += [f"{pixels:.1e}", f"{others[worst]:.1e} ({worst})", f"{alike:.4f}", objects, f"{ap:.4f}"]
            click.echo(f"| {' | '.join(cells)} |")
    return sound


def main() -> None:
    """Print a table, and end with code 1 where something differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="run folder or file of a trained model")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of images")
    parser.add_argument("--count", type=int, default=200, help="most images of a folder")
    parser.add_argument("--canvas", type=int, nargs="+", default=[96, 112, 160], help="sides of the canvas")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--runtimes", nargs="+", default=["onnx", "openvino"], choices=["onnx", "openvino"])
    parser.add_argument("--limit", type=float, default=1e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded, sound = mtvit_core.load(options.model), True
    click.echo(
        "| runtime | canvas | images | batch | pixels | others | rows alike | objects found too | least AP |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for side in options.canvas:
        model = with_canvas(loaded, "image", (side, side))
        truths = [expected(model, folder, options.count) for folder in options.images]
        with tempfile.TemporaryDirectory() as folder:
            file, captured = Path(folder) / "model.onnx", capture(model, "image")
            write(captured, "onnx", file)
            files = [file] if "onnx" in options.runtimes else []
            if "openvino" in options.runtimes:
                header = replace(captured.header, precision="fp32")
                files.append(Path(folder) / "model.xml")
                onnx_to_openvino(file, files[-1], header)
            for each in files:
                sound &= compare(model, each, truths, options.batches, options.limit)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
