"""Pictures of a run: labels as the model sees them, predictions beside the truth, curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.drawing.results import contact_sheet, draw_annotations, draw_instances
from mtvit_core.evaluation.details import Details
from mtvit_core.files import whole_file
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import DataSplit
from mtvit_train.data.samples.images import ImageDataset, Sample
from mtvit_train.recording.gallery import Exhibit, save_gallery

mpl.use("Agg")
from matplotlib.figure import Figure

#: Lines of one colour in a picture, one after the other.
DASHES = ("-", "--", ":")


def draw_labels(split: DataSplit, model: MultiTaskViT, path: Path, count: int = 12) -> None:
    """Draw the first training samples, augmented, with all that is labelled."""
    sheet = []
    for dataset in split.views.values():
        for index in range(min(count, len(dataset))):
            sample: Sample = dataset[(0, index)]
            sheet.append(draw_annotations(sample.image, sample.annotations, model.categories))
    _save(path, [Exhibit("", (picture,)) for picture in sheet])


def draw_predictions(
    model: MultiTaskViT, split: DataSplit, path: Path, count: int = 8, min_score: float = 0.3
) -> None:
    """Draw truth and predictions of the first validation images side by side, at original size."""
    rows = range(min(count, len(split.packed)))
    _save(
        path,
        _beside_truth(
            model, split, [(row, split.packed.image(row).file_name, "") for row in rows], min_score
        ),
    )


def draw_worst(
    model: MultiTaskViT,
    split: DataSplit,
    details: Mapping[str, Details],
    path: Path,
    count: int = 4,
    min_score: float = 0.3,
) -> None:
    """Draw truth and predictions of the images with the most mistakes, ``count`` of each task.

    Nothing is written where no task has made a mistake that it tells of.
    """
    wanted = []
    for task, told in details.items():
        for bad in told.mistakes[:count]:
            row = split.packed.index_of_id[bad.image_id]
            words = f"{bad.missed} missed, {bad.false} false, {bad.confused} confused"
            wanted.append((row, f"{task}: {split.packed.image(row).file_name}, {words}", task))
    if wanted:
        _save(path, _beside_truth(model, split, wanted, min_score))


def _beside_truth(
    model: MultiTaskViT, split: DataSplit, wanted: Sequence[tuple[int, str, str]], min_score: float
) -> list[Exhibit]:
    """Truth and prediction of images, by row of the split, caption, and task; all tasks where it is empty."""
    rows = sorted({row for row, _, _ in wanted})
    results = model.predict([split.packed.image(row).path for row in rows], min_score=min_score)
    found = dict(zip(rows, results, strict=True))
    whole = ImageDataset(split.packed, model.letterbox)
    exhibits = []
    for row, caption, task in wanted:
        image, result = whole.image(row), found[row].of(task) if task else found[row]
        truth = draw_annotations(image, split.packed.original(row), model.categories)
        maps = [draw_map(values, image) for values in result.maps.values()]
        exhibits.append(Exhibit(caption, (truth, draw_instances(image, result.instances), *maps)))
    return exhibits


def _save(path: Path, exhibits: Sequence[Exhibit]) -> None:
    """Write a contact sheet, and the pictures one by one."""
    sheet = contact_sheet([picture for exhibit in exhibits for picture in exhibit.pictures], columns=4)
    with whole_file(path) as partial:
        sheet.save(partial)
    save_gallery(path.parent, path.stem, exhibits)


def draw_losses(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw every loss term over the steps, one panel per task."""
    names = sorted({key for record in records for key in record if "/" in key})
    tasks = sorted({name.split("/")[0] for name in names})
    figure = Figure(figsize=(5.5 * max(1, len(tasks)), 3.6), layout="constrained")
    for panel, task in enumerate(tasks):
        axes = figure.add_subplot(1, len(tasks), panel + 1, title=task, xlabel="step", ylabel="weighted loss")
        for i, name in enumerate(name for name in names if name.startswith(task + "/")):
            steps, values = _series(records, name)
            # Of ten colours each comes again with another dash.
            dash = DASHES[i // 10 % len(DASHES)]
            axes.plot(steps, values, dash, color=f"C{i % 10}", label=name.split("/", 1)[1], linewidth=1.4)
        axes.set_yscale("log")
        _tidy(axes)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120)


def draw_metrics(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw AP and AP50 of every task over the steps."""
    names = sorted({key for record in records for key in record if key.endswith(("/AP", "/AP50"))})
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.add_subplot(1, 1, 1, xlabel="step", ylabel="average precision", ylim=(0, 1))
    colours = {task: f"C{i}" for i, task in enumerate(sorted({name.split("/")[0] for name in names}))}
    for name in names:
        task, metric = name.split("/")
        steps, values = _series(records, name)
        axes.plot(
            steps, values, "o-" if metric == "AP50" else "o--", color=colours[task], label=f"{task} {metric}"
        )
    _tidy(axes)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120)


def _series(records: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]


def _tidy(axes: Any) -> None:
    """Name the lines beside the axes, in the order in which they end."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    lines = sorted(axes.get_lines(), key=lambda line: [*line.get_ydata()[-1:]], reverse=True)
    if lines:
        axes.legend(handles=lines, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
