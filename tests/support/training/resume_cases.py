"""Small runs that are stopped and resumed, and what has to be equal in two run folders."""

import json
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import make_split
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, TrainConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.engine.meter import Pace
from mtvit_train.engine.trainer import Trainer
from mtvit_train.weighting.fixed import make_weighting

OPTIONS: dict[str, bool | int | float | str] = {
    "patch_size": 16,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
    "drop_path_rate": 0.2,
}
SMALL = {
    "model.backbone": "vit_tiny_patch16_224",
    "model.options": "{" + ", ".join(f"{key} = {value}" for key, value in OPTIONS.items()) + "}",
    "model.image_size": "[64, 64]",
    "model.person_size": "[64, 48]",
    "train.batch_size": "2",
    "train.log_every": "3",
    "train.threads": "1",
    "train.precision": "fp32",
    "train.evaluate_every": "4",
    "train.checkpoint_every": "3",
    "train.warmup": "3",
    "tasks.det.queries": "6",
    "tasks.seg.queries": "6",
    "tasks.seg.sampling": "points",
    "tasks.seg.points": "64",
    "tasks.pose.queries": "4",
    "records.worst": "0",
}


def arguments(data: Path | str, out: Path, plugins: str, **settings: str) -> list[str]:
    """Arguments of a small run; further settings have ``__`` for the dot."""
    given = SMALL | {key.replace("__", "."): value for key, value in settings.items()}
    sets = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    return ["--plugins", plugins, "--data", str(data), "--out", str(out), *sets]


def run(*given: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, list(given))


def trainer(data: Path, tasks: dict[str, dict[str, Any]], **settings: Any) -> Trainer[MultiTaskViT]:
    """A fresh trainer of a small model."""
    torch.manual_seed(0)
    table = {
        "steps": 8,
        "batch_size": 2,
        "precision": "fp32",
        "log_every": 3,
        "evaluate_every": 4,
        "warmup": 3,
    }
    config = RunConfig(train=TrainConfig(**table | settings), plugins=tuple(tasks), tasks=tasks)
    packed = read_coco(data, "train")
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=OPTIONS)
    model = mtvit_core.build(backbone, tasks, packed.categories, person_canvas=(64, 48))
    split = make_split(config, model, packed, training=True)
    return Trainer(model, split, config.train, make_weighting(config, tuple(tasks)))


def records(out: Path) -> list[dict[str, Any]]:
    """Lines of ``metrics.jsonl`` without what tells of time."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in Pace.__dataclass_fields__} for line in lines]


def state(out: Path) -> tuple[bytes, dict[str, Any]]:
    """The last checkpoint: tensors as they are on the disk, and the rest without settings of the loader.

    Without Python's stream of random numbers: the checks of shapes in tests draw from it.
    """
    last = max((out / "checkpoints").glob("step-*"))
    plain = json.loads((last / "state.json").read_text())
    del plain["origin"]["settings"]["train"]["workers"], plain["random"]["python"]
    return (last / "state.safetensors").read_bytes(), plain


def differences(one: Path, other: Path) -> list[str]:
    """What differs in two run folders of the same settings: nothing is allowed to but time."""
    names = (
        "model.safetensors",
        "metrics.json",
        "details.json",
        "predictions.png",
    )
    found = [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
    found += ["metrics.jsonl"] if records(one) != records(other) else []
    found += ["checkpoint"] if state(one) != state(other) else []
    if {path.name for path in one.iterdir()} != {path.name for path in other.iterdir()}:
        found.append("names")
    return found
