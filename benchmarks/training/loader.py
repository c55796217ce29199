"""Images per second and core of our loading against plain torchvision v2 doing the same transforms.

    python -m benchmarks.training.loader --data ../shared/data/coco-mini --images 40

Both decode the same files, draw scale, window, mirror and colour alike, and give boxes and masks on a canvas.
Images alternate between the two, in one process with one thread; processor time counts, since it does not
depend on what else the machine does.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torchvision import tv_tensors
from torchvision.transforms import v2

from mtvit_core.structures.framing import Letterbox
from mtvit_core.structures.image_files import read_image
from mtvit_core.structures.masks import Rle, decode_rle
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.images import ImageDataset


def main() -> None:
    """Print images per second of both, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/coco-mini"))
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--labels", default="boxes,masks", choices=["boxes", "boxes,masks"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    packed, config = read_coco(options.data, "train"), AugmentConfig()
    needs = frozenset(options.labels.split(","))
    ours = ImageDataset(packed, Letterbox(options.size, options.size), needs=needs, augment=config)
    plain = Plain(packed, options.size, config, with_masks="masks" in needs)
    sides: dict[str, Callable[[int, int], Any]] = {
        "torchvision v2": lambda index, turn: plain(index),
        "mtvit": lambda index, turn: ours[(turn, index)],
    }
    torch.manual_seed(0)
    count = min(options.images, len(packed))
    show(alternate(sides, count, options.rounds), f"{options.size} px, {options.labels}, {count} images")


class Plain:
    """A data set as torchvision's own reference has it, with the transforms of our ``[augment]``."""

    def __init__(
        self, packed: PackedAnnotations, size: int, config: AugmentConfig, *, with_masks: bool
    ) -> None:
        """Compose the transforms; run lengths are made before, as ours are."""
        self.packed, self.with_masks = packed, with_masks
        jitter = v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
        self.transform = v2.Compose(
            [
                v2.ScaleJitter((size, size), config.scale, antialias=True),
                v2.RandomCrop((size, size), pad_if_needed=True),
                v2.RandomHorizontalFlip(config.hflip),
                jitter,
                v2.SanitizeBoundingBoxes(),
            ]
        )
        self.runs = [self._runs(index) for index in range(len(packed))]

    def __call__(self, index: int) -> tuple[Any, dict[str, Any]]:
        """Load one sample."""
        record = self.packed.image(index)
        image = tv_tensors.Image(read_image(record.path))
        truth = self.packed.original(index, {"boxes"})
        size = (record.height, record.width)
        target = {
            "boxes": tv_tensors.BoundingBoxes(truth.boxes, format="XYXY", canvas_size=size),
            "labels": truth.labels,
        }
        if self.with_masks:
            planes = [decode_rle(rle) for rle in self.runs[index]]
            stacked = np.stack(planes) if planes else np.zeros((0, *size), bool)
            target["masks"] = tv_tensors.Mask(torch.from_numpy(stacked))
        sample: tuple[Any, dict[str, Any]] = self.transform(image, target)
        return sample

    def _runs(self, index: int) -> list[Rle]:
        rows = self.packed.rows(index)
        found = [self.packed.rle(row, index) for row in range(rows.start, rows.stop) if self.with_masks]
        return [rle for rle in found if rle is not None]


def alternate(
    sides: dict[str, Callable[[int, int], Any]], images: int, rounds: int
) -> dict[str, list[float]]:
    """Return the processor seconds of every round of each side, after one that warms up."""
    times: dict[str, list[float]] = {name: [0.0] * (rounds + 1) for name in sides}
    for turn in range(rounds + 1):
        for index in range(images):
            for name, load in sides.items():
                started = time.process_time()
                load(index, turn)
                times[name][turn] += time.process_time() - started
    return {name: [seconds / images for seconds in values[1:]] for name, values in times.items()}


def show(times: dict[str, list[float]], title: str) -> None:
    """Print the table."""
    table = Table("", "images/s per core", "ms per image", title=title)
    for name, values in times.items():
        each = statistics.median(values)
        table.add_row(name, f"{1 / each:.1f}", f"{1e3 * each:.1f}")
    console = Console()
    console.print(table)
    theirs, ours = (statistics.median(values) for values in times.values())
    console.print(f"mtvit over torchvision v2: {theirs / ours:.2f} times the images per second")


if __name__ == "__main__":
    main()
