"""Memory of scoring as it grows with images and with categories, up to LVIS's 1203.

    python -m benchmarks.training.evaluation_of_many_categories --images 20000 --categories 1203

Each image has 12 objects, each with a result, and strays; categories are drawn with falling frequency. No
model runs. Prints seconds, and the memory (MiB) that was not there before the first image: after the last
one, and at its peak, details included.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from mtvit_core.evaluation.coco_engines import Engine
from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.masks import Rle, decode_rle, polygons_to_rle

_HEIGHT, _WIDTH, _OBJECTS = 480, 640, 12


def main(arguments: Sequence[str] | None = None) -> None:
    """Score the images and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--categories", type=int, default=1203)
    parser.add_argument("--results", type=int, default=100)
    parser.add_argument("--kind", default="bbox", choices=["bbox", "segm"])
    parser.add_argument("--engine", default="hotcoco", choices=["hotcoco", "pycocotools"])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    categories = Categories(tuple(Category(i, f"c{i}") for i in range(1, options.categories + 1)))
    engine: Engine = "pycocotools" if options.engine == "pycocotools" else "hotcoco"
    kind: IouType = "segm" if options.kind == "segm" else "bbox"
    evaluator = CocoEvaluator("mine", kind, categories, engine)
    before, began = _resident(), time.perf_counter()
    for found, truth, meta in _images(options.images, options.results, categories, kind):
        evaluator.update([found], [truth], [meta])
    kept, updated = _resident() - before, time.perf_counter()
    metrics = evaluator.compute()
    computed = time.perf_counter()
    evaluator.details(0.3)
    ended, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    seconds = (
        f"update {updated - began:.0f}, metrics {computed - updated:.0f}, details {ended - computed:.0f}"
    )
    print(
        f"{kind}, {options.images} images, {options.categories} categories, {engine}: seconds: {seconds}; "
        f"MiB: kept {kept:.0f}, peak {peak:.0f}; AP {metrics['AP']:.4f}"
    )


def _images(
    count: int, results: int, categories: Categories, kind: IouType
) -> Iterator[tuple[ImageResult, Annotations, ImageMeta]]:
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, len(categories) + 1)
    share /= share.sum()
    for image_id in range(1, count + 1):
        corner = rng.uniform(0, [_WIDTH - 60, _HEIGHT - 60], (results, 2))
        boxes = torch.tensor(np.concatenate([corner, corner + rng.uniform(8, 60, (results, 2))], 1)).float()
        labels = torch.tensor(rng.choice(len(categories), results, p=share))
        scores = torch.tensor(rng.uniform(size=results)).float()
        meta = ImageMeta.whole(_HEIGHT, _WIDTH, image_id, f"{image_id}.jpg")
        rles = tuple(map(_octagon, boxes.tolist())) if kind == "segm" else ()
        truth = _truth(boxes[:_OBJECTS] + 2, labels[:_OBJECTS], rles)
        found = Instances(
            _HEIGHT, _WIDTH, categories, labels, scores, boxes, ("mine",) * results,
            rles or (None,) * results, torch.full((results, 0, 3), torch.nan), image_id,
        )  # fmt: skip
        yield ImageResult(found), truth, meta


def _octagon(box: Sequence[float]) -> Rle:
    """An octagon inside a box."""
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) / 4, (y1 - y0) / 4
    right = [x1 - w, y0, x1, y0 + h, x1, y1 - h, x1 - w, y1]
    left = [x0 + w, y1, x0, y1 - h, x0, y0 + h, x0 + w, y0]
    return polygons_to_rle([right + left], _HEIGHT, _WIDTH)


def _truth(boxes: torch.Tensor, labels: torch.Tensor, rles: Sequence[Rle]) -> Annotations:
    count = len(boxes)
    sides = boxes[:, 2:] - boxes[:, :2]
    return Annotations(
        boxes=boxes,
        labels=labels,
        masks=torch.from_numpy(np.stack([decode_rle(rle) for rle in rles[:count]])) if rles else None,
        keypoints=None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=sides.prod(1),
        ids=torch.arange(count),
        has=frozenset({"boxes", "masks"} if rles else {"boxes"}),
    )


def _resident() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
