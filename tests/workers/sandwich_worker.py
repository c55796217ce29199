"""What each of two processes does in ``tests/train/engine/test_sandwich.py``."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.loading.loader import load
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.engine.gradients import Gradients, Objective
from mtvit_train.engine.sandwich import make_sandwich
from mtvit_train.weighting.fixed import make_weighting

MODEL = {
    "backbone": "elastic:vit_tiny_patch16_224",
    "options": {"patch_size": 16, "embed_dim": 24, "depth": 4, "num_heads": 3, "depths": [3, 4]},
    "image_size": (64, 64),
}
TASKS = {"det": {"queries": 5}}


def gradients(data: Path) -> dict[str, Any]:
    """Norms of the gradients of an update, and its networks."""
    config = RunConfig(plugins=tuple(TASKS), model=MODEL, tasks=TASKS, augment={"enabled": False})
    train, ranks = read_data(config, data).train, Ranks.current()
    model = make_model(config, train.categories).train()
    split = make_split(config, model, train, training=True)
    sampler = EpochSampler(len(train), 4 // ranks.world, 0, rank=ranks.rank, world=ranks.world)
    batch = next(load(split.views["image"], sampler, 0))
    sandwich = make_sandwich(config, model)
    assert sandwich is not None
    found = Gradients(Objective(model, make_weighting(config, list(TASKS)), None, sandwich), ranks, 1, 0)
    terms = found.fill({"image": batch}, 3)
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    return {
        "genomes": [str(genome) for genome in sandwich.genomes(3)],
        "norms": {**norms, **{name: value.item() for name, value in terms.items()}},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        (Path(sys.argv[1]) / f"sandwich-{ranks.rank}.json").write_text(
            json.dumps(gradients(Path(sys.argv[1])))
        )
        ranks.gather(None)
