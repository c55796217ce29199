"""What scoring costs: seconds and memory of the evaluators, by task and by engine.

    python -m benchmarks.training.evaluation_cost --data coco-mini

The images of a COCO folder are repeated, with 100 results each: objects moved about, the rest strays; each
copy has boxes, keypoints and scores of its own. No model runs. Each row is a process of its own; memory is
the part of its resident set that was not there before the first image.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.masks import Rle, encode_rle
from mtvit_train.data.formats.coco import read_coco

NEEDS = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}
#: Share of the results that are an object of the image, moved.
NEAR = 0.6
#: How far they are moved, as a share of the object's size.
MOVED = 0.15


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of seconds and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A folder in COCO's layout; val is read.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--results", type=int, default=100)
    parser.add_argument("--kinds", default="bbox,segm,keypoints")
    parser.add_argument("--engines", default="pycocotools,hotcoco")
    parser.add_argument("--role", help="Kind and engine, such as bbox:hotcoco; measure here, and print JSON.")
    options = parser.parse_args(arguments)
    if options.role:
        kind, _, engine = options.role.partition(":")
        print(json.dumps(measure(options, kind, engine)))
        return
    table = Table("task", "evaluator", "update (s)", "metrics (s)", "details (s)", "all (s)", "kept", "peak")
    for kind in options.kinds.split(","):
        engines = options.engines.split(",")
        found = {engine: in_process(options, f"{kind}:{engine}") for engine in engines}
        for name, one in found.items():
            seconds = [one[key] for key in ("update", "metrics", "details")]
            numbers = [f"{value:.1f}" for value in (*seconds, sum(seconds))]
            table.add_row(kind, name, *numbers, f"{one['kept']:.0f} MiB", f"{one['peak']:.0f} MiB")
        aps = {name: one["AP"] for name, one in found.items()}
        table.caption = " ".join(
            [str(table.caption or "Largest difference of AP:"), kind, f"{spread(aps):.1e}"]
        )
    Console(width=110).print(table)


def spread(values: dict[str, float]) -> float:
    """The largest difference."""
    return max(values.values()) - min(values.values())


def in_process(options: argparse.Namespace, role: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.training.evaluation_cost",
        "--data",
        str(options.data),
        "--role",
        role,
    ]
    command += ["--images", str(options.images), "--results", str(options.results)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace, kind: str, engine: str) -> dict[str, float]:
    """Score the images; return seconds, MiB, and AP for comparison."""
    torch.set_num_threads(1)
    packed = read_coco(options.data, "val")
    evaluator = CocoEvaluator("mine", kind, packed.categories)
    evaluator.use_engine(engine)
    truths = [packed.original(i, {NEEDS[kind]}) for i in range(len(packed))]
    sources = [truth for truth in truths if len(truth) and NEEDS[kind] in truth.has]
    sources = [truth for truth in sources if kind != "keypoints" or bool((truth.keypoints[..., 2] > 0).any())]
    models = [moved(truth, packed.categories, options.results, kind, i) for i, truth in enumerate(sources)]
    copies = repeated(sources, models, options.images)
    first = next(copies)
    before, seconds = resident(), 0.0
    for truth, found, meta in chain([first], copies):
        began = time.perf_counter()
        evaluator.update([ImageResult(found)], [truth], [meta])
        seconds += time.perf_counter() - began
    kept, began = resident() - before, time.perf_counter()
    ap = evaluator.compute()["AP"]
    computed = time.perf_counter()
    evaluator.details(0.3)
    told = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before
    return {
        "update": seconds,
        "metrics": computed - began,
        "details": told - computed,
        "kept": kept,
        "peak": peak,
        "AP": ap,
    }


def repeated(
    sources: Sequence[Annotations], models: Sequence[Instances], count: int
) -> Iterator[tuple[Annotations, Instances, ImageMeta]]:
    """Yield the images again and again, each time with other scores and places, as if they were others."""
    for image_id in range(1, count + 1):
        rng, which = np.random.default_rng(image_id), image_id % len(sources)
        model = models[which]
        scores = torch.from_numpy(rng.random(len(model)).astype(np.float32))
        jitter = torch.from_numpy(rng.normal(0, 1, (len(model), 2)).astype(np.float32))
        keypoints = model.keypoints.clone()
        keypoints[..., :2] += jitter[:, None]
        found = replace(
            model,
            scores=scores,
            boxes=model.boxes + jitter.repeat(1, 2),
            keypoints=keypoints,
            rles=tuple(rle and Rle(rle.size, rle.counts.encode().decode()) for rle in model.rles),
            image_id=image_id,
        )
        yield sources[which], found, ImageMeta.whole(model.height, model.width, image_id, f"{image_id}.jpg")


def moved(truth: Annotations, categories: Categories, count: int, kind: str, seed: int) -> Instances:
    """Results for one image: ``NEAR`` of them its objects, moved; the others are elsewhere."""
    rng = np.random.default_rng(seed)
    height, width = truth.masks.shape[1:] if truth.masks is not None else (480, 640)
    rows = rng.integers(len(truth), size=count)
    sizes = (truth.boxes[:, 2:] - truth.boxes[:, :2]).numpy()[rows]
    far = rng.random(count) >= NEAR
    shift = (rng.normal(0, MOVED, (count, 2)) * sizes).astype(np.float32)
    shift[far] = rng.uniform(-200, 200, (int(far.sum()), 2))
    labels = truth.labels[torch.from_numpy(rows)]
    if kind != "keypoints":
        labels[torch.from_numpy(far)] = torch.from_numpy(rng.integers(len(categories), size=int(far.sum())))
    keypoints = torch.full((count, categories.max_keypoints, 3), torch.nan)
    if kind == "keypoints":
        keypoints = truth.keypoints[torch.from_numpy(rows)].float()
        keypoints[..., :2] += torch.from_numpy(shift)[:, None]
        keypoints[..., 2] = 0.5
    rles: list[Rle | None] = [None] * count
    if kind == "segm":
        masks = truth.masks.numpy()
        rles = [
            encode_rle(np.roll(masks[row], (int(dy), int(dx)), (0, 1)))
            for row, (dx, dy) in zip(rows, shift, strict=True)
        ]
    return Instances(
        height=int(height),
        width=int(width),
        categories=categories,
        labels=labels,
        scores=torch.zeros(count),
        boxes=truth.boxes[torch.from_numpy(rows)] + torch.from_numpy(np.tile(shift, 2)),
        tasks=("mine",) * count,
        rles=tuple(rles),
        keypoints=keypoints,
    )


def resident() -> float:
    """The resident set of this process now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
