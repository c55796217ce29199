"""One training run, from settings to a folder of results."""

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mtvit_core import checkpoint
from mtvit_core.model import MultiTaskViT
from mtvit_core.weighting import Weighting
from mtvit_train.assemble import Split, make_model, make_split, prepare_data, task_names
from mtvit_train.closing_pictures import FILES, draw_run
from mtvit_train.config import RunConfig
from mtvit_train.display import Display, metrics_table
from mtvit_train.evaluate import evaluate_in_detail
from mtvit_train.exposure import exposures, show_exposures
from mtvit_train.loop import Trainer
from mtvit_train.meter import Report
from mtvit_train.pictures import draw_labels
from mtvit_train.ranks import Ranks, joined
from mtvit_train.read import read_data
from mtvit_train.records import DETAILS, Records, claim_folder, write_details, write_json
from mtvit_train.sharded import check_sharding
from mtvit_train.task_weights import make_weighting
from mtvit_train.writers import open_writers, require_packages


def run(config: RunConfig, console: Console) -> dict[str, float]:
    """Train, evaluate, draw and save, with the other processes of the run where torchrun has started some.

    Args:
        config: Settings; ``out`` must be empty or absent.
        console: Where progress goes.

    Returns:
        The metrics of the last evaluation, keyed ``task/metric``.
    """
    with joined(config.train.device) as ranks:
        return _run(config, console if ranks.leads else Console(quiet=True), ranks)


def _run(config: RunConfig, console: Console, ranks: Ranks) -> dict[str, float]:
    started, out = time.perf_counter(), Path(config.out)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    data = ranks.lead(lambda: _begin(config, out))
    parts = ranks.together(lambda: _Parts.of(config, data, ranks))
    model, val_split = parts.model, parts.val
    seen = exposures(config, model, parts.train)
    if ranks.leads:
        draw_labels(parts.train, model, out / "labels.png")
        write_json(out / "data.json", {"seen": [asdict(one) for one in seen], "notes": parts.notes})
        show_exposures(seen, parts.notes, console)
    trainer = Trainer(model, parts.train, config.train, parts.weighting)
    settings = config.model_dump(mode="json")
    records = Records(out, open_writers(config.records, out, settings, console.print) if ranks.leads else ())
    metrics: dict[str, float] = {}
    with Display(console, config.train.steps) as display, closing(records):

        def on_report(report: Report) -> None:
            if not ranks.leads:
                return
            records.add("train", report.step, report.values)
            display.losses(report)

        def on_evaluate(step: int) -> None:
            averaged = trainer.average.whole()
            told = evaluate_in_detail(
                averaged,
                val_split,
                config.train.images_per_pass(ranks.world),
                config.train.workers,
                min_score=config.records.min_score,
            )
            found = told.metrics
            metrics.clear()
            metrics.update(found)
            if not ranks.leads:
                return
            records.add("eval", step, found)
            write_json(out / "metrics.json", {"step": step, **found})
            write_details(out / DETAILS, told.details)
            checkpoint.save(averaged, out / "model.safetensors", {"step": step})
            display.metrics(step, found)

        trainer.run(on_report, on_evaluate)
    if not ranks.leads:
        return metrics
    draw_run(trainer.average.model, val_split, records, config.records, out)
    console.print(metrics_table(metrics))
    minutes = (time.perf_counter() - started) / 60
    console.print(f"{minutes:.1f} minutes. Model, metrics and pictures are in {out}:", highlight=False)
    for name in FILES:
        console.print(f"  {out / name}", highlight=False)
    return metrics


def _begin(config: RunConfig, out: Path) -> Path:
    """Make the run folder and the data, and return where the data are."""
    require_packages(config.records)
    claim_folder(out)
    write_json(out / "config.json", config.model_dump(mode="json"))
    return prepare_data(config, out)


@dataclass(frozen=True)
class _Parts:
    """What the settings describe, made from them in every process."""

    model: MultiTaskViT
    train: Split
    val: Split
    weighting: Weighting[Any]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, config: RunConfig, data: Path, ranks: Ranks) -> "_Parts":
        ranks.share(config.train.batch_size, config.train.accumulate)
        check_sharding(config.train)
        found = read_data(config, data)
        model = make_model(config, found.train.categories)
        return cls(
            model,
            make_split(config, model, found.train, training=True),
            make_split(config, model, found.val, training=False),
            make_weighting(config, task_names(config)),
            found.notes,
        )
