"""One training run, from settings to a folder of results."""

import time
from pathlib import Path

import torch
from rich.console import Console

from mtvit_core import checkpoint
from mtvit_train.assemble import make_model, make_split, prepare_data, read_splits, task_names
from mtvit_train.config import RunConfig
from mtvit_train.display import Display, metrics_table
from mtvit_train.evaluate import evaluate
from mtvit_train.loop import Trainer
from mtvit_train.meter import Report
from mtvit_train.pictures import draw_labels, draw_losses, draw_metrics, draw_predictions
from mtvit_train.records import Records, claim_folder, write_json
from mtvit_train.task_weights import make_weighting


def run(config: RunConfig, console: Console) -> dict[str, float]:
    """Train, evaluate, draw and save.

    Args:
        config: Settings; ``out`` must be empty or absent.
        console: Where progress goes.

    Returns:
        The metrics of the last evaluation, keyed ``task/metric``.
    """
    started, out = time.perf_counter(), Path(config.out)
    claim_folder(out)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    write_json(out / "config.json", config.model_dump(mode="json"))
    train, val = read_splits(config, prepare_data(config, out))
    model = make_model(config, train.categories)
    train_split = make_split(config, model, train, training=True)
    val_split = make_split(config, model, val, training=False)
    draw_labels(train_split, model, out / "labels.png")
    weighting = make_weighting(config, task_names(config))
    trainer, records = Trainer(model, train_split, config.train, weighting), Records(out)
    metrics: dict[str, float] = {}
    with Display(console, config.train.steps) as display:

        def on_report(report: Report) -> None:
            records.add("train", report.step, report.values)
            display.losses(report)

        def on_evaluate(step: int) -> None:
            averaged = trainer.average.model
            found = evaluate(averaged, val_split, config.train.eval_batch_size, config.train.workers)
            metrics.clear()
            metrics.update(found)
            records.add("eval", step, found)
            write_json(out / "metrics.json", {"step": step, **found})
            checkpoint.save(averaged, out / "model.safetensors", {"step": step})
            display.metrics(step, found)

        trainer.run(on_report, on_evaluate)
    draw_predictions(trainer.average.model, val_split, out / "predictions.png")
    draw_losses(records.read("train"), out / "losses.png")
    draw_metrics(records.read("eval"), out / "metrics.png")
    console.print(metrics_table(metrics))
    minutes = (time.perf_counter() - started) / 60
    console.print(f"{minutes:.1f} minutes. Model, metrics and pictures are in {out}:", highlight=False)
    for name in (
        "predictions.png",
        "labels.png",
        "losses.png",
        "metrics.png",
        "model.safetensors",
        "metrics.json",
    ):
        console.print(f"  {out / name}", highlight=False)
    return metrics
