"""AP over training time: random weights, the shipped backbone, a self-supervised one frozen, in part, whole.

    python -m benchmarks.self_supervision.backbones --data DIR --weights FILE --minutes 20 --out ssl

Frozen blocks are cached. Time is that of updates, without evaluations; that of the cache is on the first line
of each arm. With ``--minutes``, nine updates of each arm tell how many fit: the machine must do nothing else.
"""

import argparse
import json
from pathlib import Path

from benchmarks.self_supervision import records
from rich.console import Console

from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.runs.run import run
from mtvit_train.state import run_files

#: Settings of each arm. A rate of the backbone is a factor on that of the heads.
ARMS: dict[str, tuple[str, ...]] = {
    "random": ("model.pretrained=false", "train.backbone_lr=1"),
    "shipped": (
        "model.backbone=vit_tiny_patch16_224",
        "model.options.patch_size=8",
        "model.options.embed_dim=192",
        "model.options.depth=6",
        "model.options.num_heads=3",
        "model.pretrained=scenes",
        "model.image_size=[136, 184]",
        "train.layer_decay=0.9",
        "train.backbone_lr=1",
    ),
    "frozen": ("train.backbone_lr=0", "cache.views=8"),
    "last two": ("train.backbone_lr=0.1", "train.frozen_blocks=10", "cache.views=8"),
    "last four": ("train.backbone_lr=0.1", "train.frozen_blocks=8", "cache.views=8"),
    "last eight": (
        "train.backbone_lr=0.2",
        "train.frozen_blocks=4",
        "cache.views=6",
        "train.batch_size=4",
        "train.ema=0.995",
    ),
    "whole": ("train.backbone_lr=0.1",),
}


def settings(given: argparse.Namespace, arm: str, out: Path, seed: int, steps: int, rounds: int) -> RunConfig:
    """Return the settings of one run of an arm, evaluated so many times."""
    sets = (
        f"model.backbone={given.backbone}",
        f"model.pretrained={given.weights}",
        f"model.image_size={given.canvas}",
        f"train.batch_size={given.batch_size}",
        f"train.seed={seed}",
        "train.lr=1e-3",
        "train.ema=0.99",
        "train.warmup=30",
        "train.checkpoint_every=0",
        "train.log_every=3",
        *ARMS[arm],
        *given.set,
        f"train.evaluate_every={-(-steps // rounds) if rounds else 0}",
    )
    overrides = {"data": given.data, "plugins": tuple(given.plugins.split(",")), "out": str(out)}
    return read_run(None, {**overrides, "steps": steps}, sets)


def updates(given: argparse.Namespace, arm: str) -> int:
    """Return how many updates an arm gets: those asked for, or as many as fit into the minutes."""
    if given.minutes is None:
        return int(given.steps)
    out = given.out / f"pace-{named(arm)}"
    if not out.exists():
        run(settings(given, arm, out, given.seeds[0], records.TIMED, 0), Console(quiet=True))
    return round(60 * given.minutes / records.pace(out))


def named(arm: str) -> str:
    """Return how the folders of an arm begin."""
    return arm.replace(" ", "-")


def of_category(out: Path, category: str) -> str:
    """Return the AP of one category, task by task, at the end of a run."""
    tasks = json.loads((out / run_files.DETAILS).read_text())
    found = {
        task: row[table["columns"].index("AP")]
        for task, details in tasks.items()
        for table in details["tables"]
        for row in table["rows"]
        if "AP" in table["columns"] and row[0] == category
    }
    return "  ".join(f"{task} {value:.3f}" for task, value in found.items())


def main() -> None:
    """Run the arms and print their curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="vit_small_patch14_dinov2")
    parser.add_argument("--plugins", default="det")
    parser.add_argument("--canvas", default="[224, 308]")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300, help="updates, where --minutes is not given")
    parser.add_argument("--minutes", type=float, help="of updates")
    parser.add_argument("--evaluations", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--category", default="", help="whose AP is told at the end of each run")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    for arm in given.arms.split(","):
        steps = updates(given, arm)
        for seed in given.seeds:
            out = given.out / f"{named(arm)}-{seed}"
            run(settings(given, arm, out, seed, steps, given.evaluations), Console(width=200))
            for minutes, scores in records.curve(out):
                told = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
                print(f"{arm}, seed {seed}: {minutes:.1f} min  {told}", flush=True)
            if given.category:
                told = of_category(out, given.category)
                print(f"{arm}, seed {seed}: AP of {given.category}: {told}", flush=True)


if __name__ == "__main__":
    main()
