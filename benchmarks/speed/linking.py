"""Time of linking the results of one image: 100 boxes, 100 masks and 50 skeletons, in milliseconds.

    python -m benchmarks.speed.linking --rounds 50

Two kinds of images: objects of COCO's 80 categories, a fifth of them people; and a crowd of people alone.
Each object is found by every task with some error; the rest of the rows are noise.
"""

import statistics
import time

import click
import numpy as np
import torch

from mtvit_core.results.linking import link
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.instances import Instances, concatenate
from mtvit_core.structures.masks import Rle, encode_rle

SIDE = 640
PERSON = 0


def ellipse(box: np.ndarray) -> Rle:
    """The mask that fills a box."""
    x0, y0, x1, y1 = box
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    across, down = (2 * column - x0 - x1) / (x1 - x0), (2 * row - y0 - y1) / (y1 - y0)
    return encode_rle(across**2 + down**2 <= 1)


def results(
    task: str, boxes: np.ndarray, labels: np.ndarray, seed: np.random.Generator, noise: float
) -> Instances:
    """What one task finds: boxes with an error of this share of their size."""
    count = len(boxes)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = (boxes + noise * size * seed.normal(size=boxes.shape)).clip(0, SIDE)
    keypoints = np.full((count, 17, 3), np.nan)
    if task == "pose":
        place = seed.uniform(0.2, 0.8, (count, 17, 2))
        keypoints[..., :2] = moved[:, None, :2] + place * (moved[:, None, 2:] - moved[:, None, :2])
        keypoints[..., 2] = seed.uniform(0, 1, (count, 17))
    return Instances(
        height=SIDE,
        width=SIDE,
        categories=COCO_CATEGORIES,
        labels=torch.from_numpy(labels),
        scores=torch.from_numpy(np.sort(seed.uniform(0, 1, count))[::-1].copy()).float(),
        boxes=torch.from_numpy(moved).float(),
        tasks=(task,) * count,
        rles=tuple(ellipse(box) for box in moved) if task == "seg" else (None,) * count,
        keypoints=torch.from_numpy(keypoints).float(),
    )


def image(people: float, seed: np.random.Generator) -> Instances:
    """100 boxes, 100 masks and 50 skeletons of one image, people at this share."""
    corner, size = seed.uniform(0, 0.7 * SIDE, (100, 2)), seed.uniform(0.05 * SIDE, 0.3 * SIDE, (100, 2))
    boxes = np.concatenate([corner, corner + size], 1)
    labels = np.where(seed.uniform(size=100) < people, PERSON, seed.integers(1, 80, 100))
    posed = np.resize(boxes[labels == PERSON], (50, 4))
    return concatenate(
        [
            results("det", boxes, labels, seed, 0.03),
            results("seg", boxes, labels, seed, 0.03),
            results("pose", posed, np.full(50, PERSON), seed, 0.05),
        ]
    )


@click.command()
@click.option("--rounds", default=50, show_default=True, help="Times that each image is linked.")
@click.option("--cpu-time", is_flag=True, help="Time of the processor instead of latency, on a busy machine.")
def main(rounds: int, cpu_time: bool) -> None:
    """Print the median and the least time."""
    torch.set_num_threads(1)
    clock = time.process_time if cpu_time else time.perf_counter
    for name, people in (("COCO's categories", 0.2), ("people alone", 1.0)):
        found = image(people, np.random.default_rng(0))
        times = []
        for _ in range(rounds):
            start = clock()
            linked = link(found)
            times.append(1e3 * (clock() - start))
        click.echo(
            f"{name}: {len(found)} results, {len(linked)} objects, median {statistics.median(times):.2f} ms, "
            f"least {min(times):.2f} ms"
        )


if __name__ == "__main__":
    main()
