"""What a run draws at its end: predictions, the worst images, and the page that shows it all."""

from pathlib import Path

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import DataSplit
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.recording.records import DETAILS, read_details
from mtvit_train.report.page import write_report
from mtvit_train.report.pictures import draw_predictions, draw_worst

#: Files that a finished run tells of, first those that one looks at first.
FILES = (
    "report.html",
    "predictions.png",
    "labels.png",
    "model.safetensors",
    "metrics.json",
)


def draw_run(model: MultiTaskViT, val: DataSplit, config: RecordsConfig, out: Path) -> None:
    """Draw what a finished run shows.

    Args:
        model: The weights that were evaluated.
        val: Validation data.
        config: What is shown.
        out: The run folder, with ``config.json``, the records and ``details.json``.
    """
    draw_predictions(model, val, out / "predictions.png", min_score=config.min_score)
    draw_worst(model, val, read_details(out / DETAILS), out / "worst.png", config.worst, config.min_score)
    write_report(out)
