"""Patches without objects leave early: AP against latency, by the share that stays and by the block.

    python -m benchmarks.accuracy.fewer_tokens --model runs/demo --data scenes --images scenes/train2017

Who leaves is fitted to what the model finds in --count images of --images; nothing is trained. AP is that of
the val split. Latency is that of one image, decoding included, over that of the same model with all patches,
in turns, for the model itself and for --backbone at --size with random weights, where patches leave at the
same share of the depth. What is to be beaten are smaller canvases, --canvas. --rounds 0 leaves the time out,
--only-time leaves AP out. With --updates, the model and each variant whose patches leave are trained on for
so many updates of --config before they are scored, each in a folder of its own under --out.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from benchmarks.speed.one_pass import alternate
from rich.console import Console

import mtvit_core
from mtvit_core.deploy.graph.capture import with_canvas
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.data import read_split
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import read_run
from mtvit_train.data.merging.fit_to_model import fit
from mtvit_train.engine.evaluate import evaluate_in_detail
from mtvit_train.runs.run import run
from mtvit_train.state import run_files

TASKS = ("det", "seg", "pose")
Place = tuple[int, float]


def scorer(data: Path, model: MultiTaskViT) -> Callable[[MultiTaskViT], dict[str, float]]:
    """Return what gives the AP of every task on the val split."""
    run = read_run(None, {"data": str(data)}, ())
    packed = fit(read_split(run, data, "val"), model.categories, "id", f"data {data}")

    def score(variant: MultiTaskViT) -> dict[str, float]:
        split = make_split(run, variant, packed, training=False)
        found = evaluate_in_detail(variant, split, 50, min_score=0.3).metrics
        return {task: found[f"{task}/AP"] for task in TASKS if f"{task}/AP" in found}

    return score


def latencies(models: dict[str, MultiTaskViT], rounds: int) -> dict[str, float]:
    """Return the median time of an image of each model over that of the first."""

    def passing(model: MultiTaskViT) -> Callable[[], object]:
        canvas = torch.randint(0, 256, (1, 3, *model.canvases["image"]), dtype=torch.uint8)

        def run() -> object:
            with evaluating(model):
                return model.answers(canvas, "image")

        return run

    times = alternate({name: passing(model) for name, model in models.items()}, rounds, time.process_time)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {name: median / next(iter(medians.values())) for name, median in medians.items()}


def large(name: str, size: int) -> MultiTaskViT:
    """Return a larger model with random weights, for its time alone."""
    return mtvit_core.build(name, list(TASKS), canvas=(size, size)).eval()


def thinned(model: MultiTaskViT, after: int, keep: float) -> MultiTaskViT:
    """Return a model with random weights whose patches leave."""
    name, canvas = model.backbone.name, model.canvases["image"]
    options = {"keep": keep, "keep_after": after}
    backbone = mtvit_core.create_backbone(name, canvas, options=options)
    return mtvit_core.build(backbone, list(TASKS)).eval()


def trained(model: MultiTaskViT, name: str, options: argparse.Namespace) -> MultiTaskViT:
    """Return what a model becomes by some more updates."""
    out = options.out / name.replace(" ", "-").replace(",", "")
    options.out.mkdir(parents=True, exist_ok=True)
    start = out.with_suffix(".start.safetensors")
    mtvit_core.save(model, start)
    rows, columns = model.canvases["image"]
    given = {"plugins": TASKS, "data": str(options.data), "out": str(out), "steps": options.updates}
    sets = [f"train.threads={options.threads}", "train.evaluate_every=0", "train.warmup=10", *options.set]
    own = {"start": str(start), "options": dict(model.backbone.options), "image_size": [rows, columns]}
    over = {"model": {**own, "pretrained": False, "backbone": model.backbone.name}}
    run(read_run(options.config, given, tuple(sets), over=over), Console(quiet=True))
    learned = mtvit_core.load(out / run_files.MODEL)
    assert isinstance(learned, MultiTaskViT)
    return learned.eval()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="run folder or file of a trained model")
    parser.add_argument("--data", type=Path, required=True, help="data set with a val split")
    parser.add_argument("--images", type=Path, required=True, help="folder of images to fit on")
    parser.add_argument("--count", type=int, default=64, help="images to fit on")
    parser.add_argument("--after", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--keep", type=float, nargs="+", default=[0.7, 0.5, 0.3])
    parser.add_argument("--canvas", type=int, nargs="*", default=[], help="sides of smaller canvases")
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only-time", action="store_true")
    parser.add_argument("--updates", type=int, default=0, help="of each variant, before it is scored")
    parser.add_argument("--config", default="scenes-demo", help="recipe of these updates")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V", help="as mtvit-train takes it")
    parser.add_argument("--out", type=Path, help="folder for the trained models")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.updates and options.out is None:
        parser.error("--updates needs a folder: --out DIR")
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    model = mtvit_core.load(options.model)
    shown = [mtvit_core.read_image(p) for p in mtvit_core.find_images([options.images])[: options.count]]
    places: list[Place] = [(after, keep) for after in options.after for keep in options.keep]
    variants = {"all": model}
    variants |= {named(p): mtvit_core.with_fewer_tokens(model, *p, shown).eval() for p in places}
    sides = {f"all, {side} px": side for side in options.canvas}
    variants |= {name: with_canvas(model, "image", (side, side)) for name, side in sides.items()}
    own: dict[str, float] = {}
    big: dict[str, float] = {}
    if options.rounds:
        own = latencies(variants, options.rounds)
        other, depth = large(options.backbone, options.size), model.backbone.spec.depth
        scale = other.backbone.spec.depth / depth
        grown = {"all": other} | {named(p): thinned(other, round(p[0] * scale), p[1]) for p in places}
        patch, whole = other.backbone.spec.patch[0], model.canvases["image"][0]
        for name, side in sides.items():
            large_side = round(options.size * side / whole / patch) * patch
            grown[name] = with_canvas(other, "image", (large_side, large_side))
        big = latencies(grown, options.rounds)
    score = scorer(options.data, model)
    click.echo(f"| patches | {' | '.join(f'{task} AP' for task in TASKS)} | latency | {options.backbone} |")
    click.echo("|---|" + "---|" * (len(TASKS) + 2))
    for name, variant in variants.items():
        learns = options.updates and name not in sides  # a start brings its canvas along
        final = trained(variant, name, options) if learns else variant
        found = {} if options.only_time else score(final)
        cells = [f"{found[task]:.3f}" if task in found else "-" for task in TASKS]
        cells += [f"{taken[name]:.2f}" if taken else "-" for taken in (own, big)]
        click.echo(f"| {name} | {' | '.join(cells)} |")


def named(place: Place) -> str:
    """Name of a row."""
    return f"{place[1]:g} from block {place[0]} on"


if __name__ == "__main__":
    main()
