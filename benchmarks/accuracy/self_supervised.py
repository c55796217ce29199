"""AP over training time: random weights, the shipped backbone, a self-supervised one frozen, in part, whole.

    python -m benchmarks.accuracy.self_supervised --data DIR --weights dinov2s.safetensors --out ssl

Frozen blocks are cached. Time is that of updates, without evaluations; that of the cache is on the first line
of each arm.
"""

import argparse
import json
from pathlib import Path

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
    "whole": ("train.backbone_lr=0.1",),
}


def settings(given: argparse.Namespace, arm: str, seed: int) -> RunConfig:
    """Return the settings of one run."""
    sets = (
        f"model.backbone={given.backbone}",
        f"model.pretrained={given.weights}",
        f"model.image_size={given.canvas}",
        f"train.batch_size={given.batch_size}",
        f"train.evaluate_every={given.every}",
        f"train.seed={seed}",
        "train.lr=1e-3",
        "train.ema=0.99",
        "train.warmup=30",
        "train.checkpoint_every=0",
        *ARMS[arm],
        *given.set,
    )
    out = f"{given.out}/{arm.replace(' ', '-')}-{seed}"
    overrides = {"data": given.data, "plugins": tuple(given.plugins.split(",")), "out": out}
    return read_run(None, {**overrides, "steps": given.steps}, sets)


def curve(out: Path) -> list[tuple[float, dict[str, float]]]:
    """Return minutes of training and the APs of every evaluation."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    spent, last, found = 0.0, 0, []
    for line in lines:
        if line["kind"] == "train":
            spent, last = spent + line["step_s"] * (line["step"] - last), line["step"]
        else:
            found.append((spent / 60, {n: v for n, v in line.items() if n.endswith("/AP")}))
    return found


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
    parser.add_argument("--out", required=True)
    parser.add_argument("--backbone", default="vit_small_patch14_dinov2")
    parser.add_argument("--plugins", default="det")
    parser.add_argument("--canvas", default="[224, 308]")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--category", default="", help="whose AP is told at the end of each run")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    for arm in given.arms.split(","):
        for seed in given.seeds:
            config = settings(given, arm, seed)
            run(config, Console(width=200))
            for minutes, scores in curve(Path(config.out)):
                told = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
                print(f"{arm}, seed {seed}: {minutes:.1f} min  {told}", flush=True)
            if given.category:
                told = of_category(Path(config.out), given.category)
                print(f"{arm}, seed {seed}: AP of {given.category}: {told}", flush=True)


if __name__ == "__main__":
    main()
