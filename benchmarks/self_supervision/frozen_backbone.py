"""What a step costs on a frozen ViT-S/14 with cached tokens, without a cache, and by the heads alone.

    python -m benchmarks.self_supervision.frozen_backbone det
    python -m benchmarks.self_supervision.frozen_backbone det,seg,pose

The heads alone: the same updates on batches that are in memory already. Times are CPU seconds of all
threads, so that other work on the machine counts little. Weights are random: time does not depend on them.
The cache is in a temporary folder.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import make_split
from mtvit_train.caching.cached_split import cached_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopRequest
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

BACKBONE, CANVAS, BATCH = "vit_small_patch14_dinov2", (224, 308), 8


def trainer(data: Path, tasks: tuple[str, ...], views: int, cache: Path) -> Trainer[MultiTaskViT]:
    """A trainer of a frozen backbone; with ``views`` on cached tokens."""
    torch.manual_seed(0)
    config = RunConfig.model_validate(
        {
            "plugins": tasks,
            "train": {"backbone_lr": 0.0, "batch_size": BATCH, "steps": 1000, "cache_mb": 512},
            "cache": {"views": views, "folder": str(cache)},
        }
    )
    packed = read_coco(data, "train")
    model = build(create_backbone(BACKBONE, CANVAS), {name: {} for name in tasks}, packed.categories)
    split = make_split(config, model, packed, training=True)
    given = cached_split(config, model, split, Ranks(), StopRequest(), print)
    return Trainer(model, given.split, config.train, make_weighting(config, tasks))


def seconds(made: Trainer[MultiTaskViT], steps: int, ready: bool) -> float:
    """The median CPU time of an update, of all threads; with ``ready`` on batches that are in memory."""
    stream = made._batches("image")
    kept = [next(stream) for _ in range(4)]
    made.update({"image": kept[0]})
    spent = []
    for step in range(steps):
        started = time.process_time()
        made.update({"image": kept[step % 4] if ready else next(stream)})
        spent.append(time.process_time() - started)
    return sorted(spent)[steps // 2]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=lambda text: tuple(text.split(",")))
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--profile", action="store_true", help="say where the heads spend their time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        write_scenes(data, train=given.images, val=1, seed=0, size=224)
        live = seconds(trainer(data, given.tasks, 0, Path(folder)), max(4, given.steps // 3), ready=False)
        cached = trainer(data, given.tasks, given.views, Path(folder) / "cache")
        alone, own = seconds(cached, given.steps, ready=True), seconds(cached, given.steps, ready=False)
        print(
            f"{','.join(given.tasks)}, {torch.get_num_threads()} threads, batches of {BATCH} at {CANVAS}: "
            f"without a cache {live:.3f} s, cached {own:.3f} s, heads alone {alone:.3f} s; cached / heads "
            f"{own / alone:.2f}, without / cached {live / own:.2f}"
        )
        if given.profile:
            batch = next(cached._batches("image"))
            with profile(activities=[ProfilerActivity.CPU]) as told:
                cached.update({"image": batch})
            print(told.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


if __name__ == "__main__":
    main()
