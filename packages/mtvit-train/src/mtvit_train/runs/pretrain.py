"""A pre-training from start to end, by the trainer that runs have."""

import shlex
import time
from collections.abc import Container
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.console import Console

from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.details import Cell, Details, Table
from mtvit_core.threads import usable_cores
from mtvit_train.build.data import prepare_data
from mtvit_train.config.pretraining import PretrainConfig
from mtvit_train.config.run import RunConfig
from mtvit_train.data.image_folders import images_of
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.distributed.stop_signals import StopAsked, Stopped, StopRequest
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import Evaluation
from mtvit_train.engine.meter import Report
from mtvit_train.engine.trainer import Trainer
from mtvit_train.pretraining.dino import OwnAverage
from mtvit_train.pretraining.distillation import FeatureTeacher
from mtvit_train.pretraining.make import UnlabelledSplit, make_pretext, make_split
from mtvit_train.pretraining.pretext import Pretext
from mtvit_train.probing.labelled import labelled_images
from mtvit_train.probing.probe import Measured, Probe
from mtvit_train.probing.scores import Spread, collapse
from mtvit_train.probing.twins import without_twins
from mtvit_train.recording.terminal import Display
from mtvit_train.recording.trackers import require_packages
from mtvit_train.runs.beginning import beginning
from mtvit_train.runs.folder import RunFolder
from mtvit_train.runs.heads import Metrics, begun_heads, details_of, head_settings, train_heads
from mtvit_train.runs.resume import origin, take_up, way_on
from mtvit_train.state import run_files
from mtvit_train.weighting.fixed import FixedConfig, FixedWeights

#: Images whose features tell the effective rank.
RANKED = 256


def pretrain(config: PretrainConfig, console: Console, *, resume: bool = False) -> dict[str, float]:
    """Teach a backbone from images alone, with the other processes where torchrun has started some.

    Args:
        config: Settings; ``out`` must be empty or absent, or hold the run to go on with.
        console: Where progress goes.
        resume: Go on from the newest checkpoint in ``out`` that is whole.

    Returns:
        The metrics of the last measurement.

    Raises:
        Stopped: a signal asked the run to stop; its state was saved.
        DiskError: the run folder cannot be written to.
    """
    started = time.perf_counter()
    with joined(config.train.device) as ranks, StopRequest() as stop:
        shown = console if ranks.leads else Console(quiet=True)
        tell = partial(shown.print, highlight=False, soft_wrap=True, markup=False)
        folder = RunFolder(config, tell, ranks)
        if resume and ranks.lead(folder.finished):
            tell(f"resume {folder.path}: it has ended already; nothing is left to do.")
            return ranks.lead(folder.metrics)
        _pretrain(config, shown, folder, stop, resume)
        metrics = ranks.lead(folder.metrics)
        if config.probe.steps:
            found = _heads(config, ranks.lead(lambda: begun_heads(config)), shown)
            if ranks.leads:
                folder.keep_heads(found, details_of(found, config))
    if ranks.leads:
        folder.report()
        folder.finish(config.train.steps)
    minutes = (time.perf_counter() - started) / 60
    tell(f"{minutes:.1f} minutes. Set model.pretrained to {folder.file(run_files.BACKBONE)}")
    tell(f"  {folder.file(run_files.PAGE)}")
    return metrics


def _heads(config: PretrainConfig, begun: Container[str], console: Console) -> dict[str, Metrics]:
    try:
        return train_heads(config, begun, console)
    except Stopped as stopped:
        way = f"go on with: mtvit-train pretrain --out {shlex.quote(config.out)} --resume"
        raise Stopped(f"stopped while heads were trained; {way}" if str(stopped) else "") from None


def _pretrain(
    config: PretrainConfig, console: Console, folder: RunFolder, stop: StopRequest, resume: bool
) -> None:
    ranks, tell = folder.ranks, partial(console.print, highlight=False, soft_wrap=True, markup=False)
    torch.set_num_threads(config.train.threads or min(torch.get_num_threads(), usable_cores()))
    try:
        with beginning(folder.path, fresh=ranks.leads and not resume):
            parts, trainer = _prepare(config, folder, ranks, stop, resume)
        for line in parts.notes:
            tell(line)
        if resume:
            take_up(trainer, folder, config, tell)
        _train(config, trainer, parts, folder, stop, console)
    except StopAsked as asked:
        raise Stopped(way_on(asked, config, folder, "mtvit-train pretrain") if ranks.leads else "") from None


def _prepare(
    config: PretrainConfig, folder: RunFolder, ranks: Ranks, stop: StopRequest, resume: bool
) -> tuple["_Parts", Trainer[Pretext]]:
    """Make all that the first update needs."""
    folders = ranks.lead(lambda: _begin(config, folder, stop, resume))
    parts = ranks.together(lambda: _Parts.of(config, folders))
    trainer = Trainer(parts.pretext, parts.split, config.train, _unweighted(config), parts.teacher)
    if isinstance(parts.teacher, OwnAverage):
        parts.teacher.follow(trainer.average.model)
    ranks.lead(lambda: _settle(config, folder, resume))
    return parts, trainer


def _unweighted(config: PretrainConfig) -> FixedWeights:
    return FixedWeights(FixedConfig(), (config.method,))


def _begin(config: PretrainConfig, folder: RunFolder, stop: StopRequest, resume: bool) -> list[str]:
    """Return the folders of images; the run folder is made here only if scenes are made in it."""
    require_packages(config.records)
    if config.probe.steps:
        head_settings(config, "before")  # what is wrong with them is said now, not after hours
    if not resume:
        folder.check_free()
    if "scenes" not in config.data:
        return list(config.data)
    if not resume:
        folder.settle(config)
    made = prepare_data(RunConfig(scenes=config.scenes), folder.path, stop.check_here)
    return [str(made / "train2017") if name == "scenes" else name for name in config.data]


def _settle(config: PretrainConfig, folder: RunFolder, resume: bool) -> None:
    """Make the run folder, if it is not there: all that the run needs is."""
    if not (resume or "scenes" in config.data):
        folder.check_free()
        folder.settle(config)


@dataclass(frozen=True)
class _Parts:
    """What the settings describe, made from them in every process."""

    pretext: Pretext
    teacher: FeatureTeacher | OwnAverage | None
    split: UnlabelledSplit
    probe: Probe
    notes: tuple[str, ...]

    @classmethod
    def of(cls, config: PretrainConfig, folders: list[str]) -> "_Parts":
        Ranks.current().share(config.train.batch_size, config.train.accumulate)
        if config.train.parallel == "fsdp":
            raise ConfigError(
                "config: train.parallel is 'fsdp', which pre-training does not support; take ddp."
            )
        found, table = images_of(folders), config.probe
        labelled = labelled_images(table.data, config.model.image_size, table.images) if table.data else None
        held_out = labelled[1].files if labelled else []
        paths, notes = without_twins(found, held_out)
        pretext, teacher = make_pretext(config)
        return cls(
            pretext,
            teacher,
            make_split(config, paths, pretext.backbone.spec.patch),
            Probe(tuple(paths[:RANKED]), labelled, table.neighbours, table.pictures),
            (f"{len(paths)} images without labels, method {config.method}.", *notes),
        )


def _train(
    config: PretrainConfig,
    trainer: Trainer[Pretext],
    parts: _Parts,
    folder: RunFolder,
    stop: StopRequest,
    console: Console,
) -> None:
    if trainer.ranks.leads:
        folder.open_trackers(config, trainer.step)
    with closing(folder.records), Display(console, config.train.steps) as display:
        hooks = _Hooks(config, trainer, parts, folder, display)
        hooks.start()
        trainer.run(Course(hooks.report, hooks.measure, hooks.save), stop)


@dataclass(frozen=True)
class _Hooks:
    """What a pre-training does when its trainer calls."""

    config: PretrainConfig
    trainer: Trainer[Pretext]
    parts: _Parts
    folder: RunFolder
    display: Display

    def start(self) -> None:
        """Measure what there is before: the start, and the teacher."""
        if not self.trainer.ranks.lead(lambda: self.trainer.step > 0 or self.folder.measured()):
            self.measure(0)

    def report(self, report: Report) -> None:
        if self.trainer.ranks.leads:
            self.folder.record(report.step, report.values)
            self.display.losses(report)

    def measure(self, step: int) -> None:
        """Measure the averaged weights, and keep them; the other processes wait."""
        averaged = self.trainer.average.whole()

        def work() -> None:
            backbone = averaged.backbone
            found = self.parts.probe.measure(backbone)
            metrics = {f"probe/{name}": value for name, value in found.metrics.items()}
            details = {"probe": Details(tables=(self._table(step, found),))}
            self.folder.keep_backbone(backbone, step, Evaluation(metrics, details), found.pictures)
            shown = "  ".join(f"{name} {value:.3f}" for name, value in found.metrics.items())
            tell = partial(self.display.console.print, highlight=False, soft_wrap=True, markup=False)
            tell(f"step {step}: {shown}")
            warning = collapse(found.spread, self._start(), found.most)
            if warning and step:
                tell(f"step {step}: {warning}; {self.parts.pretext.remedy}.")

        self.trainer.ranks.lead(work)

    def _start(self) -> Spread:
        """What the first measurement of the run found."""
        first = next(iter(self.folder.records.read("eval")))
        return Spread(first["probe/rank"], first["probe/mean_cosine"])

    def _table(self, step: int, found: Measured) -> Table:
        """The same probes of the start, of the teacher, and of every measurement."""
        names = tuple(found.metrics)
        rows: list[tuple[Cell, ...]] = []
        for record in self.folder.records.read("eval"):
            rows.append((f"update {record['step']}", *(record.get(f"probe/{name}") for name in names)))
        rows.append((f"update {step}", *(found.metrics[name] for name in names)))
        teacher = self.parts.teacher
        if isinstance(teacher, FeatureTeacher) and step in (0, self.config.train.steps):
            own = self.parts.probe.measure(teacher.backbone).metrics
            rows.append(("teacher", *(own.get(name) for name in names)))
        return Table(
            "Frozen features: the same probes before, on the way and after",
            ("weights", *names),
            tuple(rows),
            "mAP of the nearest images, of a linear probe on whole images, and of one on patches.",
        )

    def save(self) -> None:
        state: dict[str, Any] = {**self.trainer.state_dict(), "origin": origin(self.config)}
        self.folder.keep_checkpoint(self.trainer.step, state)
