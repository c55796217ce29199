"""One training run, from settings to a folder of results; and on from where it was stopped."""

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mtvit_core.errors import DataError
from mtvit_core.model.checkpoint import load
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.sharing.shares import shares_of, told_sharing
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.threads import usable_cores
from mtvit_train.build.data import read_data
from mtvit_train.build.fit_to_data import fitted
from mtvit_train.build.label_counts import exposures, show_exposures
from mtvit_train.build.model import as_built, make_model
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.build.tasks import check_tasks, notes_of_crowding, task_names, with_labelled_tasks
from mtvit_train.build.warm_start import known_categories, notes_of_heads, read_start, telling_of_heads
from mtvit_train.caching.cached_split import cached_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.merging.map_classes import classes_of
from mtvit_train.distillation.knowledge_token import give_tokens
from mtvit_train.distillation.teacher import Teacher, open_teacher, with_teacher_checksum
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.distributed.stop_signals import StopAsked, Stopped, StopRequest
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate_in_detail
from mtvit_train.engine.fsdp import check_sharding
from mtvit_train.engine.meter import Report
from mtvit_train.engine.sandwich import Sandwich, make_sandwich
from mtvit_train.engine.trainer import Trainer
from mtvit_train.optim.gate_course import GateCourse, gate_course
from mtvit_train.recording.terminal import Display, metrics_table
from mtvit_train.recording.trackers import require_packages
from mtvit_train.runs.beginning import beginning
from mtvit_train.runs.early_stopping import EarlyStopping
from mtvit_train.runs.folder import RunFolder
from mtvit_train.runs.resume import origin, take_up, way_on
from mtvit_train.state import run_files
from mtvit_train.weighting.fixed import make_weighting

#: Seconds; a run on a CPU that takes longer is told what it costs, and of the recipe for small data.
LONG_ON_A_CPU = 3600.0


def run(config: RunConfig, console: Console, *, resume: bool = False) -> dict[str, float]:
    """Train, evaluate, draw and save, with the other processes of the run where torchrun has started some.

    Args:
        config: Settings; ``out`` must be empty or absent, or hold the run to go on with.
        console: Where progress goes.
        resume: Go on from the newest checkpoint in ``out`` that is whole; from the start where there is none.

    Returns:
        The metrics of the last evaluation, keyed ``task/metric``.

    Raises:
        Stopped: a signal asked the run to stop; its state was saved.
        DiskError: the run folder cannot be written to.
    """
    with joined(config.train.device) as ranks, StopRequest() as stop:
        return _run(config, console if ranks.leads else Console(quiet=True), ranks, stop, resume)


def _run(
    config: RunConfig, console: Console, ranks: Ranks, stop: StopRequest, resume: bool
) -> dict[str, float]:
    started, tell = time.perf_counter(), partial(console.print, highlight=False, soft_wrap=True, markup=False)
    torch.set_num_threads(config.train.threads or min(torch.get_num_threads(), usable_cores()))
    folder, steps = RunFolder(config, tell, ranks), config.train.steps
    if resume and ranks.lead(folder.finished):
        tell(f"resume {folder.path}: the run has ended already, at step {steps}; nothing is left to do.")
        return ranks.lead(folder.metrics)
    try:
        with beginning(folder.path, fresh=ranks.leads and not resume):
            parts, trainer = _prepare(config, folder, ranks, stop, console, resume)
        config = parts.config
        try:
            _train(config, trainer, parts.val, folder, stop, console)
        except DataError as error:
            raise _at_step(error, trainer, config, folder) from error
    except StopAsked as asked:
        raise Stopped(way_on(asked, config, folder, "mtvit-train") if ranks.leads else "") from None
    metrics = ranks.lead(folder.metrics)
    averaged = trainer.average.whole()
    if ranks.leads:
        best = load(folder.file(run_files.MODEL)).to(trainer.device) if config.train.patience else averaged
        folder.draw(best, parts.val, config.records)
        folder.finish(trainer.step)
    console.print(metrics_table(metrics))
    _tell_end(folder, told_sharing(averaged) if ranks.leads else [], time.perf_counter() - started, tell)
    return metrics


def _tell_end(folder: RunFolder, lines: Sequence[str], seconds: float, tell: Callable[[str], None]) -> None:
    for line in lines:
        tell(line)
    tell(f"{seconds / 60:.1f} minutes. Model, metrics and pictures are in {folder.path}:")
    for name in run_files.TOLD:
        tell(f"  {folder.file(name)}")


def _prepare(
    config: RunConfig, folder: RunFolder, ranks: Ranks, stop: StopRequest, console: Console, resume: bool
) -> tuple["_Parts", Trainer[MultiTaskViT]]:
    """Make all that the first update needs, or the next one of a run that goes on."""
    tell = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    asked = ranks.lead(lambda: with_teacher_checksum(config))
    data = ranks.lead(lambda: _begin(asked, folder, stop, resume))
    parts = ranks.together(lambda: _Parts.of(asked, data, ranks))
    seen = exposures(parts.config, parts.model, parts.train)
    cached = cached_split(parts.config, parts.model, parts.train, ranks, stop, tell)
    given = parts.model, cached.split, parts.config.train, parts.weighting
    trainer = Trainer(*given, parts.teacher, parts.sandwich, parts.gates)
    ranks.lead(lambda: _settle(parts.config, folder, resume))
    if ranks.leads:
        folder.describe_data(parts.train, parts.model, seen, parts.notes)
        show_exposures(seen, parts.notes, console)
    if resume:
        take_up(trainer, folder, parts.config, tell)
    return parts, trainer


def _begin(config: RunConfig, folder: RunFolder, stop: StopRequest, resume: bool) -> Path:
    """Return where the data are; the run folder is made here only if they are made in it."""
    require_packages(config.records)
    check_tasks(config)
    if not resume:
        folder.check_free()
        if config.data == "scenes":
            folder.settle(config)
    return folder.prepare_data(config, stop.check_here)


def _settle(config: RunConfig, folder: RunFolder, resume: bool) -> None:
    """Write the settings of the run, in a folder that is made only now that all the run needs is there."""
    if not (resume or config.data == "scenes"):
        folder.check_free()
    if not resume:
        folder.settle(config)


@dataclass(frozen=True)
class _Parts:
    """What the settings describe, made from them in every process; ``config`` is fitted to the data."""

    config: RunConfig
    model: MultiTaskViT
    train: DataSplit
    val: DataSplit
    weighting: Weighting[Any]
    teacher: Teacher | None
    sandwich: Sandwich | None
    gates: GateCourse | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, config: RunConfig, data: Path, ranks: Ranks) -> "_Parts":
        ranks.share(config.train.batch_size, config.train.accumulate)
        check_sharding(config.train)
        tasks = task_names(config)
        start = read_start(config, tasks)
        with telling_of_heads():
            found = read_data(config, data, known_categories(start, tasks, config.model.heads))
        config, left_out = with_labelled_tasks(config, found.train)
        tasks = task_names(config)
        config = fitted(config, found.train)
        model = make_model(config, found.train.categories, start, classes_of(found.train))
        give_tokens(config.distill.token, model)
        return cls(
            config,
            model,
            make_split(config, model, found.train, training=True),
            make_split(config, model, found.val, training=False),
            make_weighting(config, tasks),
            open_teacher(config.distill, model),
            make_sandwich(config, model),
            gate_course(model.backbone, config, list(tasks)),
            (
                *left_out,
                *found.notes,
                *notes_of_heads(start, config.model, found.train.categories),
                *notes_of_crowding(config, found.train, "train"),
                *notes_of_crowding(config, found.val, "val"),
            ),
        )


def _train(
    config: RunConfig,
    trainer: Trainer[MultiTaskViT],
    val: DataSplit,
    folder: RunFolder,
    stop: StopRequest,
    console: Console,
) -> None:
    """Train from where the trainer stands, and keep what it says."""
    if trainer.ranks.leads:
        folder.open_trackers(config, trainer.step)
    with closing(folder.records), Display(console, config.train.steps) as display:
        stopping = EarlyStopping(config.train.patience, folder.records.read("eval"))
        hooks = _Hooks(config, trainer, val, folder, stop, display, stopping)
        course = Course(hooks.report, hooks.evaluate, hooks.save, hooks.keep, hooks.ended, hooks.timed)
        trainer.run(course, stop)


@dataclass(frozen=True)
class _Hooks:
    """What a run does when its trainer calls, in the folder and on the terminal."""

    config: RunConfig
    trainer: Trainer[MultiTaskViT]
    val: DataSplit
    folder: RunFolder
    stop: StopRequest
    display: Display
    stopping: EarlyStopping

    def report(self, report: Report) -> None:
        if self.trainer.ranks.leads:
            self.folder.record(report.step, {**report.values, **shares_of(self.trainer.model)})
            self.display.losses(report)

    def evaluate(self, step: int) -> None:
        averaged, ranks = self.trainer.average.whole(), self.trainer.ranks
        found = evaluate_in_detail(
            averaged,
            self.val,
            self.config.train.images_per_pass(ranks.world),
            self.config.train.workers,
            min_score=self.config.records.min_score,
            stop=self.stop,
            engine=self.config.evaluation.engine,
            max_dets=self.config.evaluation.max_dets,
        )
        if ranks.leads:
            keep = self.stopping.follow(found.metrics)
            self.folder.keep_evaluation(averaged, step, found, keep=keep)
            self.display.metrics(step, found.metrics)

    def timed(self, seconds: float) -> None:
        """Say what the run costs, where that is much for a CPU."""
        left = seconds * (self.config.train.steps - self.trainer.step)
        if self.trainer.ranks.leads and self.trainer.device.type == "cpu" and left > LONG_ON_A_CPU:
            self.display.cost(self.config, seconds, left)

    def ended(self) -> bool:
        """Tell, in all processes, whether evaluations no longer get better."""
        ended = self.trainer.ranks.lead(lambda: self.stopping.ended)
        if ended and self.trainer.ranks.leads:
            self.display.ended(self.trainer.step, self.stopping.since)
        return ended

    def save(self) -> None:
        self.folder.keep_checkpoint(
            self.trainer.step, {**self.trainer.state_dict(), "origin": origin(self.config)}
        )

    def keep(self, state: dict[str, Any]) -> str:
        built = as_built(self.config, self.trainer.model)
        return self.folder.keep_diverged(state, built, self.trainer.model.categories)


def _at_step(
    error: DataError, trainer: Trainer[MultiTaskViT], config: RunConfig, folder: RunFolder
) -> DataError:
    """Say where training stood at a fault of the data, and how it goes on."""
    saved = folder.checkpoints.last
    if not saved:
        return DataError(f"step {trainer.step}: {error}")
    return DataError(
        f"step {trainer.step} of {config.train.steps}: {error} The run is saved at step {saved}; fix the "
        f"data, then go on: mtvit-train --out {shlex.quote(config.out)} --resume"
    )
