"""Does exchange between two branches pay? Five backbones of equal size on wide scenes, three dense tasks.

    python -m benchmarks.accuracy.two_branches --out two-branches --seeds 0 1 2 --threads 1
    python -m benchmarks.accuracy.two_branches --out short --rows 64 --steps 800 --single ViT-16

Each arm learns semantic + depth + normals at once, and each task alone with the same backbone, for equally
many updates from random weights. Generated scenes are square: they are rendered as wide as they are to be,
and the middle rows are kept, with their exact labels. Small arms learn little in 220 updates at 128 x 256, a
minute or two on one thread; the second line gives the same thread time to more updates at 64 x 128.
The feed-forward parts are as wide as makes the backbones equally large. All arms have the same decoder and
heads; both branches meet in its input (``join``), whatever they told each other before.

Printed: mIoU over classes, pixel accuracy, IoU pooled over all classes (what the thesis calls mIoU), errors
of depth, angles of normals, delta_m against the arm's own single tasks (positive: sharing helps), and the
median latency of one image. With ``--single ARM`` all arms are compared to the single tasks of that arm.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image

from mtvit_core.backbones.interface import Backbone
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.checkpoint import load
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import SplitName
from mtvit_train import train
from mtvit_train.report.delta_m import changes, delta_m, read_metrics
from mtvit_train.scenes.scene import render_scene
from mtvit_train.scenes.writer import CLASSES, DEPTH_SCALE

TASKS = ("semantic", "depth", "normals")
_PLAIN = {"embed_dim": 96, "depth": 4, "num_heads": 3}
_CROSS = {"widths": [68, 68], "depths": [2, 2], "stages": 2, "heads": [2, 2], "read": "small", "join": True}
#: Backbone and options of each arm; the feed-forward ratio is fitted.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT-16": ("vit_tiny_patch16_224", {**_PLAIN, "patch_size": 16}),
    "ViT-8": ("vit_tiny_patch16_224", {**_PLAIN, "patch_size": 8}),
    "two, no exchange": ("crossvit:custom", {**_CROSS, "exchange": "none"}),
    "two, class tokens": ("crossvit:custom", {**_CROSS, "exchange": "class"}),
    "two, patches": ("crossvit:custom", {**_CROSS, "exchange": "patches"}),
}
#: What is printed of every arm.
SHOWN = (
    "semantic/mIoU", "semantic/pixel_accuracy", "semantic/micro_IoU", "depth/abs_err", "depth/rel_err",
    "normals/mean_angle", "normals/median_angle", "normals/below_11.25", "normals/below_22.5",
    "normals/below_30", "delta_m", "latency_ms", "parameters",
)  # fmt: skip


def main() -> None:
    """Train all arms with all seeds, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--rows", type=int, default=128, help="Rows of an image, which is twice as wide.")
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--images", type=int, nargs=2, default=(800, 100), metavar=("TRAIN", "VAL"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--single", default="own", choices=["own", *ARMS], help="Whose single tasks count.")
    options = parser.parse_args()
    data = options.out / "scenes"
    if not data.is_dir():
        write(data, options.rows, {"train": options.images[0], "val": options.images[1]})
    target = parameters(backbone("ViT-16", 4.0, options.rows))
    rows: dict[str, list[dict[str, float]]] = {arm: [] for arm in options.arms}
    for seed in options.seeds:
        for arm in options.arms:
            started = time.perf_counter()
            rows[arm].append(measured(options, data, arm, seed, target))
            told = {name: round(value, 4) for name, value in rows[arm][-1].items()}
            click.echo(f"{arm}, seed {seed}: {time.perf_counter() - started:.0f} s {json.dumps(told)}")
    click.echo("\n" + table(rows))


def write(folder: Path, height: int, counts: dict[SplitName, int]) -> None:
    """Write the middle rows of scenes, as images and as labels beside them."""
    rows = slice(height // 2, height // 2 + height)
    for split, count in counts.items():
        for label in ("images", *TASKS):
            (folder / label / split).mkdir(parents=True)
        for index in range(count):
            scene = render_scene(0, index, 2 * height, split)
            planes = {
                "images": scene.image[rows],
                "semantic": scene.semantic[rows],
                "depth": np.rint(scene.depth[rows] / DEPTH_SCALE).clip(1, 65535).astype(np.uint16),
                "normals": np.rint((scene.normals[:, rows].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8),
            }
            for label, pixels in planes.items():
                Image.fromarray(pixels).save(folder / label / split / f"{index:05d}.png", compress_level=1)


def backbone(arm: str, ratio: float, rows: int) -> Backbone:
    """Return the backbone of an arm with some feed-forward ratio."""
    name, options = ARMS[arm]
    return create_backbone(name, (rows, 2 * rows), options={**options, "mlp_ratio": ratio})


def parameters(module: torch.nn.Module) -> int:
    """Count weights."""
    return sum(weight.numel() for weight in module.parameters())


def ratio_of(arm: str, target: int, rows: int) -> float:
    """Return the feed-forward ratio with which a backbone has so many weights; they are linear in it."""
    one, two = (parameters(backbone(arm, ratio, rows)) for ratio in (1.0, 2.0))
    return 1 + (target - one) / (two - one)


def measured(options: argparse.Namespace, data: Path, arm: str, seed: int, target: int) -> dict[str, float]:
    """Train the tasks of an arm together and alone, and return what is printed of it."""
    ratio = ratio_of(arm, target, options.rows)
    out = options.out / f"seed{seed}"
    model, metrics = trained(options, data, out, arm, seed, TASKS, ratio)
    other = arm if options.single == "own" else options.single
    single_ratio = ratio_of(other, target, options.rows)
    alone: dict[str, float] = {}
    for task in TASKS:
        alone |= trained(options, data, out, other, seed, (task,), single_ratio)[1]
    accuracy = metrics["semantic/pixel_accuracy"]
    return {
        **metrics,
        "semantic/micro_IoU": accuracy / (2 - accuracy),
        "delta_m": delta_m(changes(metrics, alone)),
        "latency_ms": latency(model, options.rows),
        "parameters": parameters(model.backbone),
    }


def trained(
    options: argparse.Namespace,
    data: Path,
    out: Path,
    arm: str,
    seed: int,
    tasks: tuple[str, ...],
    ratio: float,
) -> tuple[MultiTaskViT, dict[str, float]]:
    """Train some tasks on an arm's backbone, or take the run that is there already."""
    folder = out / f"{arm.replace(', ', '-').replace(' ', '-')}-{'+'.join(tasks)}"
    if (folder / "finished.json").is_file():
        return load(folder / "model.safetensors"), read_metrics(folder)
    name, own = ARMS[arm]
    maps = {
        "semantic": {"folder": "semantic/{split}", "kind": "classes", "classes": list(CLASSES)},
        "depth": {"folder": "depth/{split}", "kind": "numbers", "scale": DEPTH_SCALE},
        "normals": {"folder": "normals/{split}", "kind": "directions"},
    }
    size = [options.rows, 2 * options.rows]
    decoder: dict[str, Any] = {"channels": 32, "depths": 3}
    weights: dict[str, dict[str, Any]] = {
        "semantic": {"loss_dice": 1.0}, "depth": {"loss_abs": 4.0}, "normals": {"loss_cosine": 4.0},
    }  # fmt: skip
    found = train(
        data,
        tasks,
        options.steps,
        folder,
        quiet=True,
        reader="folders",
        readers={"folders": {"maps": maps}},
        model={"backbone": name, "options": {**own, "mlp_ratio": ratio}, "image_size": size},
        augment={"scale": [1.0, 1.0]},
        tasks={task: {**decoder, **weights[task]} for task in tasks},
        train={
            "batch_size": options.batch_size, "optimizer": "muon", "lr": 2e-3, "matrix_lr": 0.02,
            "layer_decay": 1.0, "ema": 0.98, "warmup": 20, "seed": seed, "threads": options.threads,
            "checkpoint_every": 0,
        },
    )  # fmt: skip
    return found.model, found.metrics


def latency(model: MultiTaskViT, rows: int, rounds: int = 30) -> float:
    """Return the median time of a pass of one image, in milliseconds."""
    image = torch.randint(0, 256, (1, 3, rows, 2 * rows), dtype=torch.uint8)
    times = []
    with evaluating(model), torch.inference_mode():
        for _ in range(rounds):
            started = time.perf_counter()
            model(image)
            times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return a row per arm: means over the seeds, and the spread of mIoU and delta_m."""
    lines = [" | ".join(["arm", *(name.partition("/")[2] or name for name in SHOWN)])]
    lines.append(" | ".join(["---"] * (1 + len(SHOWN))))
    for arm, runs in rows.items():
        lines.append(" | ".join([arm, *(_told([run[name] for run in runs]) for name in SHOWN)]))
    return "\n".join(f"| {line} |" for line in lines)


def _told(values: list[float]) -> str:
    mean = statistics.fmean(values)
    text = f"{mean:.0f}" if mean > 1000 else f"{mean:.4g}"
    return text if len(values) == 1 else f"{text} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    main()
