"""What tasks gain from sharing layers: all, none, at random, or as learned, at equal stored parameters.

    python -m benchmarks.accuracy.sharing --out sharing --seeds 0 1 2
    python -m benchmarks.accuracy.sharing --out sharing --table

Every arm is the demo's recipe on the same scenes. Learned gates store at most ``--budget`` times the
parameters of the demo's backbone; the arms below them store what they came to with the same seed, to a few
per cent (the budget, where there is no such run yet):

    single     a backbone of the demo's size for each task alone: the measure of delta_m, not one of the arms
    learned    the demo's, with gates learned by ``[sharing]``
    gumbel     the same by Gumbel-softmax
    shared     one wider backbone, all of which every task shares
    own        a narrower one, of whose blocks every task owns all layers
    random     the demo's, and copies at random

delta_m is the mean over tasks of (metric - single) / single: above 0, better than a model for each task.
All arms share embedding, norms and LayerScale.
"""

import argparse
import bisect
import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.checkpoint import load
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.runs.run import run
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state import run_files

TASKS = ("det", "seg", "pose")
METRIC = "AP"
SINGLE = "single"
ARMS = ("learned", "gumbel", "shared", "own", "random")
PLAIN, BRANCHED = "vit_tiny_patch16_224", "branched:vit_tiny_patch16_224"
CANVAS = (96, 96)
#: The demo's backbone: 3 heads of 64.
HEADS, HEAD_WIDTH = 3, 64
SIZES: dict[str, Any] = {"patch_size": 8, "embed_dim": HEADS * HEAD_WIDTH, "depth": 6, "num_heads": HEADS}
#: What lets runs of a few hundred updates from random weights be told apart.
FIXED = ("model.pretrained=false", "train.evaluate_every=0", "train.log_every=50", "records.worst=0")


def stored(name: str, options: dict[str, Any]) -> int:
    """Return the parameters that a backbone stores."""
    with torch.device("meta"):
        backbone = create_backbone(name, CANVAS, options=options)
    if isinstance(backbone, BranchedBackbone):
        return backbone.stored
    return sum(p.numel() for p in backbone.parameters())


def of_size(name: str, options: dict[str, Any], wanted: float) -> dict[str, Any]:
    """Return options of the width whose backbone stores nearly as many parameters as wanted, not more."""
    widths = [HEADS * step for step in range(8, 4 * HEAD_WIDTH)]
    place = bisect.bisect(widths, wanted, key=lambda width: stored(name, {**options, "embed_dim": width}))
    return {**options, "embed_dim": widths[max(0, place - 1)]}


def budget_of(seed: int, options: argparse.Namespace) -> float:
    """Return what arms store whose gates are set, as a factor: what learned gates came to with this seed."""
    learned = options.out / f"learned-seed{seed}.json"
    if not learned.exists():
        return float(options.budget)
    return float(json.loads(learned.read_text())["parameters"] / stored(PLAIN, SIZES))


def backbone_of(arm: str, budget: float, seed: int) -> tuple[str, dict[str, Any]]:
    """Return name and options of an arm's backbone."""
    wanted, tasks = budget * stored(PLAIN, SIZES), {"tasks": ",".join(TASKS)}
    if arm == "shared":
        return PLAIN, of_size(PLAIN, SIZES, wanted)
    if arm == "own":
        return BRANCHED, of_size(BRANCHED, {**SIZES, **tasks, "gates": "own"}, wanted)
    if arm == "random":
        return BRANCHED, {**SIZES, **tasks, "gates": f"random:{budget}:{seed}"}
    return (PLAIN, SIZES) if arm == SINGLE else (BRANCHED, {**SIZES, **tasks})


def settings(
    arm: str, plugins: Sequence[str], out: Path, seed: int, options: argparse.Namespace
) -> RunConfig:
    """Return the settings of a run."""
    name, sizes = backbone_of(arm, budget_of(seed, options), seed)
    given = {
        "plugins": tuple(plugins),
        "data": str(options.out / "scenes"),
        "out": str(out),
        "steps": options.steps,
    }
    over: dict[str, Any] = {"model": {"backbone": name, "options": sizes}}
    if arm in ("learned", "gumbel"):
        estimator = "gumbel" if arm == "gumbel" else "straight-through"
        over["sharing"] = {"budget": options.budget, "estimator": estimator}
    own = (*FIXED, f"train.threads={options.threads}", f"train.seed={seed}", *options.set)
    return read_run("scenes-demo", given, own, over=over)


def go(arm: str, seed: int, options: argparse.Namespace) -> None:
    """Make the runs of an arm, those that are not there yet, and keep what they give."""
    target = options.out / f"{arm}-seed{seed}.json"
    if target.exists():
        return
    began, found, parameters, gates = time.process_time(), {}, 0, ""
    for plugins in [(task,) for task in TASKS] if arm == SINGLE else [TASKS]:
        out = options.out / f"{arm}-seed{seed}-{'-'.join(plugins)}"
        metrics = run(settings(arm, plugins, out, seed, options), Console(quiet=True))
        found |= {task: metrics[f"{task}/{METRIC}"] for task in plugins}
        backbone = load(out / run_files.MODEL).backbone
        parameters += sum(p.numel() for p in backbone.parameters())
        gates = str(backbone.options.get("gates", ""))
    seconds = time.process_time() - began
    kept = {**found, "parameters": parameters, "gates": gates, "seconds": seconds, "steps": options.steps}
    target.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    click.echo(f"{arm} seed {seed}: {json.dumps(kept)}")


def delta_m(found: dict[str, float], single: dict[str, float]) -> float:
    """Return the mean relative change of the tasks' metrics; NaN where a single model finds nothing."""
    changes = [(found[t] - single[t]) / single[t] if single[t] > 0 else math.nan for t in TASKS]
    return statistics.fmean(changes)


def print_table(options: argparse.Namespace) -> None:
    """Print mean and spread over the seeds, of those arms whose runs are there."""
    click.echo(
        "| arm | seeds | M parameters | " + " | ".join(f"{t} {METRIC}" for t in TASKS) + " | delta_m % |"
    )
    click.echo("|---|---|---|" + "---|" * (len(TASKS) + 1))
    read = {path.stem: json.loads(path.read_text()) for path in sorted(options.out.glob("*-seed*.json"))}
    for arm in (SINGLE, *ARMS):
        runs = {
            name.rpartition("seed")[2]: one for name, one in read.items() if name.startswith(f"{arm}-seed")
        }
        if not runs:
            continue
        against = {seed: read.get(f"{SINGLE}-seed{seed}") for seed in runs}
        deltas = [100 * delta_m(one, base) for seed, one in runs.items() if (base := against[seed])]
        cells = [told([one[task] for one in runs.values()], 3) for task in TASKS]
        size = statistics.fmean(one["parameters"] for one in runs.values()) / 1e6
        click.echo(f"| {arm} | {len(runs)} | {size:.2f} | {' | '.join(cells)} | {told(deltas, 1)} |")


def told(values: Sequence[float], digits: int) -> str:
    """Return mean and deviation of some values."""
    if not values:
        return "-"
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"


def main() -> None:
    """Train arms and seeds one after the other; runs that are there are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the scenes and the results")
    parser.add_argument("--steps", type=int, default=320, help="updates of every run")
    parser.add_argument(
        "--budget", type=float, default=1.5, help="times the parameters of the demo's backbone"
    )
    parser.add_argument("--arms", nargs="+", default=[SINGLE, *ARMS], choices=[SINGLE, *ARMS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--train", type=int, default=1000, help="training scenes")
    parser.add_argument("--val", type=int, default=100, help="validation scenes")
    parser.add_argument("--table", action="store_true", help="print what is there, and train nothing")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="as mtvit-train")
    options = parser.parse_args()
    if not (options.out / "scenes").exists() and not options.table:
        write_scenes(options.out / "scenes", train=options.train, val=options.val, seed=0, size=128)
    for seed in () if options.table else options.seeds:
        for arm in options.arms:
            go(arm, seed, options)
    print_table(options)


if __name__ == "__main__":
    main()
