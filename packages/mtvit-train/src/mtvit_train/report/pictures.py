"""Pictures of a run: labels as the model sees them, predictions beside the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.drawing.results import contact_sheet, draw_annotations, draw_instances
from mtvit_core.evaluation.details import Details
from mtvit_core.files import whole_file
from mtvit_core.inference.options import PredictOptions
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import IMAGE_LABELS
from mtvit_core.structures.pixel_maps import CategoryMap, Segment
from mtvit_train.build.splits import DataSplit
from mtvit_train.data.packed import ALL_KINDS
from mtvit_train.data.samples.images import ImageDataset, Sample
from mtvit_train.recording.gallery import Exhibit, save_gallery

#: Score from which pictures show what a task adds to an object that is sure: skeletons learn last.
PART_SCORE = 0.05
#: Labels that are drawn into an image; dense ones are pictures of their own.
_TRUTH = ALL_KINDS | {IMAGE_LABELS}


def draw_labels(split: DataSplit, model: MultiTaskViT, path: Path, count: int = 12) -> None:
    """Draw the first training samples, augmented, with all that is labelled; dense labels beside them."""
    exhibits = []
    for dataset in split.views.values():
        for index in range(min(count, len(dataset))):
            sample: Sample = dataset[(0, index)]
            pictures = {"labels": draw_annotations(sample.image, sample.annotations, model.categories)}
            packed, values = split.packed.member(dataset.image_of(index)).maps, sample.annotations.maps
            for name, label in values.items():
                drawn = draw_map(packed[name].as_map(name, label.numpy()), sample.image)
                pictures[name] = drawn.resize(pictures["labels"].size, Image.Resampling.NEAREST)
            exhibits.append(Exhibit(", ".join(pictures) if values else "", tuple(pictures.values())))
    _save(path, exhibits)


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
    options = PredictOptions(min_score=min_score, part_score=min(min_score, PART_SCORE))
    results = model.predict_stream([split.packed.image(row).path for row in rows], options=options)
    found = dict(zip(rows, results, strict=True))
    whole = ImageDataset(split.packed, model.letterbox)
    exhibits = []
    for row, caption, task in wanted:
        image, result = whole.image(row), found[row].of(task) if task else found[row]
        pictures = {"truth": draw_annotations(image, split.packed.original(row, _TRUTH), model.categories)}
        pictures |= _true_segments(model, split, row, image, result)
        pictures |= _true_maps(split, row, image, result)
        if not result.maps or any(t.finds_objects for t in model.task_list if task in ("", t.name)):
            heading = ", ".join(labels.heading(min_score) for labels in result.labels.values())
            pictures["objects found"] = draw_instances(image, result.instances, heading=heading)
        pictures |= {name: draw_map(values, image) for name, values in result.maps.items()}
        size = pictures["truth"].size  # small images are drawn larger, their maps are not
        drawn = [one.resize(size, Image.Resampling.NEAREST) for one in pictures.values()]
        words = f"{caption}: {', '.join(pictures)}" if result.maps else caption
        exhibits.append(Exhibit(words, tuple(drawn)))
    return exhibits


def _true_segments(
    model: MultiTaskViT, split: DataSplit, row: int, image: UInt8[Tensor, "3 H W"], result: ImageResult
) -> dict[str, Image.Image]:
    """The true segments of an image, where the data set says some and the model finds such maps."""
    if not any(isinstance(values, CategoryMap) for values in result.maps.values()):
        return {}
    truth = split.packed.segments(row)
    if truth is None:
        return {}
    areas = torch.bincount(truth.ids.clamp(min=0).flatten(), minlength=len(truth.labels) + 1)[1:].tolist()
    segments = [
        Segment(number, label, 1.0, area, is_stuff=False)
        for number, (label, area) in enumerate(zip(truth.labels.tolist(), areas, strict=True), start=1)
    ]
    drawn = CategoryMap.panoptic(truth.ids.clamp(min=0), segments, model.categories)
    return {"true segments": draw_map(drawn, image)}


def _true_maps(
    split: DataSplit, row: int, image: UInt8[Tensor, "3 H W"], result: ImageResult
) -> dict[str, Image.Image]:
    """The dense labels of an image that the model tells of, in the order of its maps."""
    maps = split.packed.member(row).maps
    labels = split.packed.dense(row, result.maps.keys())
    told = [name for name in result.maps if name in labels]
    return {f"true {name}": draw_map(maps[name].as_map(name, labels[name]), image) for name in told}


def _save(path: Path, exhibits: Sequence[Exhibit]) -> None:
    """Write a contact sheet, and the pictures one by one."""
    widest = max(len(exhibit.pictures) for exhibit in exhibits)
    columns = 4 if 4 % widest == 0 else widest  # what belongs together is in one row
    blank = Image.new("RGB", exhibits[0].pictures[0].size, (250, 250, 248))
    rows = [(*exhibit.pictures, *[blank] * (widest - len(exhibit.pictures))) for exhibit in exhibits]
    sheet = contact_sheet([picture for row in rows for picture in row], columns)
    with whole_file(path) as partial:
        sheet.save(partial)
    save_gallery(path.parent, path.stem, exhibits)
