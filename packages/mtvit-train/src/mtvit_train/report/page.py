"""Puts the page together from the files of a run folder."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from mtvit_core.errors import DataError
from mtvit_core.evaluation.details import Details, Matrix, Table
from mtvit_core.files import write_text
from mtvit_train.recording.gallery import FEATURES, feature_galleries, read_gallery
from mtvit_train.recording.records import Records, read_details
from mtvit_train.recording.terminal import SHOWN
from mtvit_train.report.history import Figure, loss_plots, metric_plots, pace_figures, pace_plots
from mtvit_train.report.svg_lines import BOX, Plot, plot
from mtvit_train.state.run_files import DATA, DETAILS, METRICS, PAGE, SETTINGS

_GALLERIES = {
    "predictions": "Validation images: truth, and what the model finds",
    "worst": "Images with the most mistakes: truth, and what the task finds",
    "labels": "Training images as the model sees them, with their labels",
}
_FEATURES = (
    "image, first three components of its patches, their nearness to the whole, the class token's attention"
)
#: Columns whose numbers are shares, shown with a bar.
_SHARES = frozenset(
    {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR", "good", "near", "off"}
    | {"PQ", "SQ", "RQ", "PQ_things", "PQ_stuff", "mIoU", "pixel_accuracy", "IoU", "recall", "precision"}
)


@dataclass(frozen=True)
class Part:
    """What the page shows of one task beside its metrics.

    Attributes:
        task: Its name.
        tables: Its tables.
        plots: Its charts.
        matrices: Its matrices, each with the largest count of every row.
    """

    task: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    matrices: tuple[tuple[Matrix, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures on the page.

    Attributes:
        name: Its place on the page.
        link: What leads there.
        title: What it shows.
        exhibits: Caption and pictures as data URIs.
    """

    name: str
    link: str
    title: str
    exhibits: tuple[tuple[str, tuple[str, ...]], ...]


def write_report(out: Path) -> Path:
    """Write ``report.html`` from what the run folder holds; what is missing is left out of the page.

    Args:
        out: The run folder.

    Returns:
        The page.

    Raises:
        DataError: the folder holds no run.
    """
    config = read_json(out / SETTINGS)
    if config is None:
        raise DataError(f"report {out}: no config.json there, so it is no run folder; name one that is.")
    records, last = Records(out), read_json(out / METRICS) or {}
    trained, scored = records.read("train"), records.read("eval")
    step = last.pop("step", None)
    page = (
        environment()
        .get_template("page.html")
        .render(
            title=out.resolve().name,
            config=config,
            summary=summary(config, trained[-1]["step"] if trained else 0),
            step=step,
            metrics=metric_table(last),
            data=data_table(read_json(out / DATA) or {}),
            pace=pace_figures(trained),
            losses=loss_plots(trained),
            curves=metric_plots(scored),
            times=pace_plots(trained),
            parts=[part(task, details) for task, details in read_details(out / DETAILS).items()],
            galleries=_galleries(out),
        )
    )
    path = out / PAGE
    write_text(path, page)
    return path


def part(task: str, details: Details) -> Part:
    """Work out the charts of a task."""
    plots = [plot(chart) for chart in details.charts]
    matrices = [(m, tuple(max(row, default=0) for row in m.counts)) for m in details.matrices]
    return Part(task, details.tables, tuple(p for p in plots if p is not None), tuple(matrices))


def summary(config: Mapping[str, Any], steps: int) -> list[Figure]:
    """Return the settings that say most about a run."""
    model, train = config["model"], config["train"]
    return [
        Figure("method", config["method"])
        if "method" in config
        else Figure("tasks", ", ".join(config["plugins"]) or "all installed"),
        Figure("backbone", model["backbone"]),
        Figure("canvas", " x ".join(map(str, model["image_size"]))),
        Figure("data", _named(config["data"])),
        Figure("updates", f"{steps} of {train['steps']}"),
        Figure("batch", str(train["batch_size"])),
    ]


def _named(data: Any) -> str:
    """Return the names of the data."""
    if isinstance(data, list) and all(isinstance(one, str) for one in data):
        return ", ".join(Path(one).name for one in data)
    return Path(str(data)).name


def metric_table(metrics: Mapping[str, Any]) -> Table:
    """Return the last metrics, a row per task; those that are no AP or AR come after these."""
    tasks = list(dict.fromkeys(name.split("/")[0] for name in metrics))
    own = list(dict.fromkeys(name.split("/")[1] for name in metrics))
    columns = [name for name in SHOWN if name in own] + [name for name in own if name not in SHOWN]
    rows = tuple((task, *(metrics.get(f"{task}/{column}") for column in columns)) for task in tasks)
    return Table("Metrics", ("task", *columns), rows)


def data_table(data: Mapping[str, Any]) -> Table:
    """Return what each task sees of every data set, and how data sets were joined."""
    seen = data.get("seen", [])
    columns = tuple(seen[0]) if seen else ()
    rows = tuple(tuple(one[column] for column in columns) for one in seen)
    heads = tuple(column.replace("_", " ") for column in columns)
    return Table("Data", heads, rows, " ".join(data.get("notes", [])))


def environment() -> Environment:
    """Return what fills in the templates."""
    environment = Environment(
        loader=PackageLoader("mtvit_train.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "settings": settings_text}
    environment.globals["box"] = BOX
    environment.tests["share"] = lambda column: column in _SHARES
    return environment


def cell(value: Any) -> str:
    """Write a cell of a table; a dash where nothing is known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def settings_text(value: Any) -> str:
    """Write a setting."""
    return json.dumps(value, ensure_ascii=False)


def _galleries(out: Path) -> list[Gallery]:
    """Those that have something to show."""
    words = {name: (name, title) for name, title in _GALLERIES.items()}
    for name in feature_galleries(out):
        update = int(name.removeprefix(FEATURES))
        words[name] = f"features, update {update}", f"After {update} updates: {_FEATURES}"
    shown = {name: read_gallery(out, name) for name in words}
    return [
        Gallery(name, *words[name], tuple((e.caption, tuple(map(_uri, e.files))) for e in exhibits))
        for name, exhibits in shown.items()
        if exhibits
    ]


def _uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file of a run folder holds; None where there is none.

    Raises:
        DataError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"report: {path} is not valid JSON: {error}; fix or remove the file.") from error
    return found
