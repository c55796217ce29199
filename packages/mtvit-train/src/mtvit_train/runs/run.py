"""One training run, from settings to a folder of results; and on from where it was stopped."""

import shlex
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mtvit_core.model import checkpoint
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_train.build.data import prepare_data, read_data
from mtvit_train.build.label_counts import exposures, show_exposures
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.build.tasks import check_tasks, task_names
from mtvit_train.build.warm_start import known_categories, read_start
from mtvit_train.config.run import RunConfig
from mtvit_train.distillation.knowledge_token import give_tokens
from mtvit_train.distillation.teacher import Teacher, open_teacher, with_teacher_checksum
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.distributed.stop_signals import StopAsked, Stopped, StopRequest
from mtvit_train.engine import replay
from mtvit_train.engine.evaluate import evaluate_in_detail
from mtvit_train.engine.fsdp import check_sharding
from mtvit_train.engine.meter import Report
from mtvit_train.engine.trainer import Trainer
from mtvit_train.recording.records import (
    DETAILS,
    Records,
    check_free,
    claim_folder,
    read_metrics,
    write_details,
    write_json,
)
from mtvit_train.recording.terminal import Display, metrics_table
from mtvit_train.recording.trackers import open_writers, require_packages
from mtvit_train.report.pictures import draw_labels
from mtvit_train.report.run_pictures import FILES, draw_run
from mtvit_train.runs.resume import FINISHED, origin, take_up
from mtvit_train.state.atomic_folder import writing
from mtvit_train.state.checkpoints import Checkpoints
from mtvit_train.weighting.fixed import make_weighting


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
    started, out = time.perf_counter(), Path(config.out)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    if resume and ranks.lead((out / FINISHED).is_file):
        tell(f"resume {out}: the run has ended already, at step {config.train.steps}; nothing is left to do.")
        return ranks.lead(lambda: read_metrics(out))
    checkpoints = Checkpoints(out, config.train.keep_checkpoints, tell, ranks)
    records = Records(out)
    try:
        config = ranks.lead(lambda: with_teacher_checksum(config))
        data = ranks.lead(lambda: _begin(config, out, stop, resume))
        parts = ranks.together(lambda: _Parts.of(config, data, ranks))
        seen = exposures(config, parts.model, parts.train)
        trainer = Trainer(parts.model, parts.train, config.train, parts.weighting, parts.teacher)
        ranks.lead(lambda: _claim(config, out, resume))
        if ranks.leads:
            with writing(out):
                draw_labels(parts.train, parts.model, out / "labels.png")
                write_json(out / "data.json", {"seen": [asdict(one) for one in seen], "notes": parts.notes})
            show_exposures(seen, parts.notes, console)
        if resume:
            take_up(trainer, records, checkpoints, config, tell)
        if ranks.leads:
            settings = config.model_dump(mode="json")
            records.writers = tuple(open_writers(config.records, out, settings, tell, trainer.step))
        with closing(records):
            _train(config, trainer, parts.val, records, checkpoints, stop, console)
    except StopAsked as asked:
        raise Stopped(
            f"stopped by {asked.cause}; to go on from step {checkpoints.last} of {config.train.steps}: "
            f"mtvit-train --out {shlex.quote(config.out)} --resume"
            if ranks.leads
            else ""
        ) from None
    metrics = ranks.lead(lambda: read_metrics(out))
    averaged = trainer.average.whole()
    if ranks.leads:
        with writing(out):
            draw_run(averaged, parts.val, config.records, out)
            write_json(out / FINISHED, {"step": trainer.step})
    console.print(metrics_table(metrics))
    minutes = (time.perf_counter() - started) / 60
    tell(f"{minutes:.1f} minutes. Model, metrics and pictures are in {out}:")
    for name in FILES:
        tell(f"  {out / name}")
    return metrics


def _begin(config: RunConfig, out: Path, stop: StopRequest, resume: bool) -> Path:
    """Return where the data are; the run folder is made here only if they are made in it."""
    require_packages(config.records)
    check_tasks(config)
    if not resume:
        check_free(out)
        if config.data == "scenes":
            claim_folder(out, config.model_dump(mode="json"))
    with writing(out):
        return prepare_data(config, out, stop.check_here)


def _claim(config: RunConfig, out: Path, resume: bool) -> None:
    """Make the run folder, if it is not there: all that the run needs is."""
    if not (resume or config.data == "scenes"):
        claim_folder(out, config.model_dump(mode="json"))


@dataclass(frozen=True)
class _Parts:
    """What the settings describe, made from them in every process."""

    model: MultiTaskViT
    train: DataSplit
    val: DataSplit
    weighting: Weighting[Any]
    teacher: Teacher | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, config: RunConfig, data: Path, ranks: Ranks) -> "_Parts":
        ranks.share(config.train.batch_size, config.train.accumulate)
        check_sharding(config.train)
        tasks = task_names(config)
        start = read_start(config, tasks)
        found = read_data(config, data, known_categories(start, tasks))
        model = make_model(config, found.train.categories, start)
        give_tokens(config.distill.token, model)
        return cls(
            model,
            make_split(config, model, found.train, training=True),
            make_split(config, model, found.val, training=False),
            make_weighting(config, tasks),
            open_teacher(config.distill, model),
            found.notes,
        )


def _train(
    config: RunConfig,
    trainer: Trainer,
    val: DataSplit,
    records: Records,
    checkpoints: Checkpoints,
    stop: StopRequest,
    console: Console,
) -> None:
    """Train from where the trainer stands, and record what it says."""
    out, told_by, ranks = Path(config.out), origin(config), trainer.ranks
    with Display(console, config.train.steps) as display:

        def on_report(report: Report) -> None:
            if not ranks.leads:
                return
            with writing(out):
                records.add("train", report.step, report.values)
            display.losses(report)

        def on_evaluate(step: int) -> None:
            averaged = trainer.average.whole()
            told = evaluate_in_detail(
                averaged,
                val,
                config.train.images_per_pass(ranks.world),
                config.train.workers,
                min_score=config.records.min_score,
                stop=stop,
                engine=config.evaluation.engine,
            )
            if not ranks.leads:
                return
            with writing(out):
                checkpoint.save(averaged, out / "model.safetensors", {"step": step})
                write_details(out / DETAILS, told.details)
                write_json(out / "metrics.json", {"step": step, **told.metrics})
                records.add("eval", step, told.metrics)  # last: it says that the evaluation is complete
            display.metrics(step, told.metrics)

        def on_save() -> None:
            records.flush()
            checkpoints.save(trainer.step, {**trainer.state_dict(), "origin": told_by})

        def on_diverged(state: dict[str, Any]) -> str:
            folder = out / ("diverged" if ranks.leads else f"diverged-{ranks.rank}")
            return replay.keep(folder, state, config, trainer.model.categories, ranks)

        trainer.run(on_report, on_evaluate, on_save, stop, on_diverged)
