"""A command to start with on a data set that was checked, and why it looks so."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from mtvit_core.plugins.registry import installed_tasks
from mtvit_train.build.data import read_split
from mtvit_train.build.fit_to_data import FEWEST_STEPS, fitted, fitted_canvas, patch_of
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import most_objects, task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.coverage import labelled_objects
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.engine.course import Course
from mtvit_train.engine.sandwich import make_sandwich
from mtvit_train.engine.trainer import Trainer
from mtvit_train.weighting.fixed import make_weighting

RECIPE = "small"
#: Canvases of this many times the recipe's patches at most: time grows with them.
MOST_PATCHES = 4
#: Share of the objects that may be smaller than a patch.
TINY_SHARE = 0.1
#: Part of a run that is not updates: evaluations and pictures.
BESIDE = 1.2
#: A published self-supervised backbone and how it is trained: whole, at a tenth of the heads' rate.
PUBLISHED = (
    "model.backbone=vit_small_patch14_dinov2.lvd142m",
    "model.options={}",
    "model.pretrained=true",
    "train.optimizer=adamw",
    "train.backbone_lr=0.1",
)


@dataclass(frozen=True)
class Start:
    """A command to start with.

    Attributes:
        command: What to type.
        published: The same with a published self-supervised backbone, which has to be downloaded.
        reasons: Why, a line each.
    """

    command: str
    published: str
    reasons: tuple[str, ...]


def start_command(run: RunConfig, root: Path, given: tuple[str, ...] = ()) -> Start | None:
    """Choose tasks, canvas, queries and length from the training data, and time two updates here.

    Args:
        run: Settings that say how the data are read.
        root: The data folder.
        given: ``--set`` values that reading needs.

    Returns:
        The command; None where no installed task learns from these data.
    """
    packed = read_split(run, root, "train")
    counts = {name: labelled_objects(packed, found.cls.needs) for name, found in installed_tasks().items()}
    tasks = tuple(name for name, objects in counts.items() if objects.sum())
    if not tasks:
        return None
    chosen, reasons = _patches(packed, tasks, given)
    options = {"plugins": tasks, "data": str(root)}
    for name, most in most_objects(read_run(RECIPE, options, given)).items():
        if counts[name].max() > most:
            wanted = int(np.ceil(counts[name].max() * 1.2))
            chosen += (f"tasks.{name}.queries={wanted}",)
            reasons += (f"{name}: an image holds up to {counts[name].max()} objects, so {wanted} queries",)
    config = fitted(read_run(RECIPE, options, (*given, *chosen)), packed)
    seconds = _time_update(config, packed)
    (rows, columns), threads = config.model.image_size, torch.get_num_threads()
    reasons = (
        f"{config.train.steps} updates of {config.train.batch_size} images: {config.train.epochs:g} passes "
        f"through {len(packed)} images, at least {FEWEST_STEPS} updates",
        f"canvas {rows} x {columns}: the shape of the images",
        *reasons,
        f"about {max(1, round(config.train.steps * seconds * BESIDE / 60))} minutes on this machine: an "
        f"update takes {seconds:.2f} s with {threads} CPU thread{'s' if threads > 1 else ''}",
    )
    command = f"mtvit-train --config {RECIPE} --plugins {','.join(tasks)} --data {shlex.quote(str(root))}"
    return Start(_with(command, (*given, *chosen)), _with(command, (*given, *chosen, *PUBLISHED)), reasons)


def _with(command: str, settings: tuple[str, ...]) -> str:
    return " ".join([command, *(f"--set {shlex.quote(one)}" for one in settings)])


def _patches(
    packed: PackedAnnotations, tasks: tuple[str, ...], given: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ask for a larger canvas where a tenth of the objects would be smaller than a patch."""
    model = read_run(RECIPE, {"plugins": tasks}, given).model
    canvas, patch = fitted_canvas(model, packed), max(patch_of(model))
    sizes = np.repeat(packed.sizes, np.diff(packed.first), axis=0)
    scale = np.min(np.array(canvas) / sizes, axis=1)
    sides = np.sqrt(np.prod(np.maximum(packed.boxes[:, 2:] - packed.boxes[:, :2], 1), axis=1)) * scale
    small = float(np.quantile(sides, TINY_SHARE))
    if small >= patch:
        return (), ()
    wanted = round(model.patches * min(MOST_PATCHES, (patch / small) ** 2))
    return (f"model.patches={wanted}",), (
        f"{TINY_SHARE:.0%} of the objects would be smaller than a patch on a canvas of {model.patches} "
        f"patches, so {wanted}",
    )


def _time_update(config: RunConfig, packed: PackedAnnotations) -> float:
    """Train for two updates, and return the seconds of the second."""
    short = config.model_copy(update={"train": config.train.model_copy(update={"steps": 2})})
    model = make_model(short, packed.categories)
    split = make_split(short, model, packed, training=True)
    seconds: list[float] = []
    weighting, sandwich = make_weighting(short, task_names(short)), make_sandwich(short, model)
    trainer = Trainer(model, split, short.train, weighting, sandwich=sandwich)
    trainer.run(Course(timed=seconds.append))
    return seconds[0]


def show_start(start: Start, console: Console) -> None:
    """Print the command and why."""
    console.print("To start with:", highlight=False, style="bold")
    for line in (
        f"  {start.command}",
        *(f"    {reason}" for reason in start.reasons),
        "With a published self-supervised backbone, which is slower and learns more from few images:",
        f"  {start.published}",
    ):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
