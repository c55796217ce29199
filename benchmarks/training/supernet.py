"""What an update of a supernet costs over one of its largest network, and a network cut out over a plain one.

    OMP_NUM_THREADS=1 python -m benchmarks.training.supernet

Times are CPU seconds of one thread, alternated in one run; the median of the ratios of all rounds is told.
Weights are random: time does not depend on them. The plain one has the network's width, heads and ratio.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.engine.sandwich import make_sandwich
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

BACKBONE, CANVAS, QUERIES = "vit_small_patch16_224", (224, 224), 100
SPACE = {"widths": [256, 320, 384], "heads": [4, 5, 6], "ratios": [3.0, 3.5, 4.0], "depths": [10, 12]}
NETWORK, PLAIN = Genome(256, (4,) * 12, (4.0,) * 12), {"embed_dim": 256, "num_heads": 4}


def trainer(
    data: Path, tasks: tuple[str, ...], batch: int, backbone: str, **options: Any
) -> Trainer[MultiTaskViT]:
    """A trainer of a model with random weights."""
    config = RunConfig.model_validate(
        {
            "plugins": tasks,
            "model": {"backbone": backbone, "options": options, "image_size": CANVAS},
            "train": {"batch_size": batch, "steps": 1000, "warmup": 0, "precision": "fp32"},
        }
    )
    packed = read_coco(data, "train")
    model = make_model(config, packed.categories)
    split, sandwich = make_split(config, model, packed, training=True), make_sandwich(config, model)
    return Trainer(model, split, config.train, make_weighting(config, tasks), sandwich=sandwich)


def spent(work: Callable[[], Any]) -> float:
    """CPU seconds of something."""
    started = time.process_time()
    work()
    return time.process_time() - started


def ratios(rounds: int, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float, float]:
    """Medians of both times and of their ratio, after a round that does not count."""
    pairs = [(spent(first), spent(second)) for _ in range(rounds + 1)][1:]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(a / b for a, b in pairs)


def updates(data: Path, tasks: tuple[str, ...], batch: int, rounds: int) -> str:
    """An update of a supernet against one of its largest network."""
    supernet = trainer(data, tasks, batch, f"elastic:{BACKBONE}", **SPACE)
    plain = trainer(data, tasks, batch, BACKBONE)
    kept = {"image": next(plain._batches("image"))}
    one, other, ratio = ratios(rounds, lambda: supernet.update(kept), lambda: plain.update(kept))
    return (
        f"an update: supernet {one:.3f} s, largest alone {other:.3f} s, ratio {ratio:.2f} "
        "(wanted: 4.5 at most)"
    )


def passes(rounds: int) -> str:
    """A pass of a network that was cut out against one of a plain ViT of its shape."""
    supernet = elastic(create_backbone(f"elastic:{BACKBONE}", CANVAS, options=SPACE), "benchmark")
    images = torch.randint(0, 256, (1, 3, *CANVAS), dtype=torch.uint8)

    def pass_of(backbone: Backbone) -> Callable[[], Any]:
        source = LearnedQueries(QUERIES, backbone.spec.width)
        group = TokenGroup("a", QUERIES, 9, source)

        @torch.inference_mode()
        def run() -> None:
            for _ in range(3):
                backbone.eval()(images, [group])

        return run

    cut, plain = supernet.cut_out(NETWORK), create_backbone(BACKBONE, CANVAS, options=PLAIN)
    one, other, ratio = ratios(4 * rounds, pass_of(cut), pass_of(plain))
    return (
        f"a pass with {QUERIES} queries: cut out {one / 3:.4f} s, plain {other / 3:.4f} s, ratio {ratio:.3f} "
        "(wanted: 1.00)"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=lambda text: tuple(text.split(",")), default=("det", "seg", "pose"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        write_scenes(data, train=given.batch, val=1, seed=0, size=224)
        print(f"{BACKBONE}, {torch.get_num_threads()} threads, batches of {given.batch} at {CANVAS}")
        print(updates(data, given.tasks, given.batch, given.rounds))
        print(passes(given.rounds))


if __name__ == "__main__":
    main()
