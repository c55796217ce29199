"""Details of a COCO evaluation: scores of classes, precision over recall, confusions, errors of keypoints."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mtvit_core.evaluation.coco_curves import Curves
from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.evaluation.coco_pairs import Pairs, keypoint_errors, pair_up
from mtvit_core.evaluation.details import Cell, Chart, Details, Line, Matrix, Mistakes, Table
from mtvit_core.structures.categories import Categories, Category

if TYPE_CHECKING:
    from mtvit_core.evaluation.coco_curves import ClassScore

#: What is compared, and by what.
_WORDS = {"bbox": ("box", "IoU"), "segm": ("mask", "IoU"), "keypoints": ("keypoint", "OKS")}
#: Classes with a line of their own, those with the most instances.
_LINES = 8
#: OKS from which the keypoints of a person are compared one by one (Ronchi and Perona 2017, Sec. 3.1).
_SAME_PERSON = 0.1
#: Similarity of a keypoint, exp(-e^2 / 2), from which it is good, and from which it is near (same source).
_GOOD, _NEAR = 0.85, 0.5
_NOTHING = "background"

Images = Mapping[int, Mapping[str, Any]]


def coco_details(
    images: Images,
    categories: Categories,
    kind: IouType,
    curves: Curves,
    scores: "Sequence[ClassScore]",
    min_score: float,
) -> Details:
    """Return all details of one evaluation.

    Args:
        images: Annotations and results, see ``coco_curves``.
        categories: Classes of both.
        kind: What is compared.
        curves: Precision and recall of the same images.
        scores: Scores of the classes.
        min_score: Results below it count in no matrix and no mistake.
    """
    pairs = all_pairs(images, categories, kind, min_score)
    tables = [class_table(scores, kind)]
    if kind == "keypoints":
        near = all_pairs(images, categories, kind, 0.0, _SAME_PERSON)
        tables += keypoint_tables(near, categories)
    return Details(
        tables=tuple(tables),
        charts=precision_charts(curves, scores, kind),
        matrices=(confusion(pairs, categories, kind, min_score),),
        mistakes=mistakes(pairs),
    )


def class_table(scores: "Sequence[ClassScore]", kind: IouType) -> Table:
    """Return instances, AP, AP50 and AR of every class."""
    what, by = _WORDS[kind]
    return Table(
        f"{what.capitalize()} scores by class",
        ("class", "instances", "AP", "AP50", "AR"),
        tuple((score.category.name, score.instances, score.ap, score.ap50, score.ar) for score in scores),
        f"AP and AR are means over {by} 0.50 to 0.95.",
    )


def precision_charts(curves: Curves, scores: "Sequence[ClassScore]", kind: IouType) -> tuple[Chart, ...]:
    """Return precision over recall: of all classes at several thresholds, and of single classes at 0.5."""
    _, by = _WORDS[kind]
    everything = curves.precision[..., curves.areas.index("all")]
    recall = tuple(float(r) for r in np.linspace(0, 1, everything.shape[1]))
    half, strict = (np.isclose(curves.thresholds, value).argmax() for value in (0.5, 0.75))
    means = {
        f"{by} 0.50": everything[[half]],
        f"{by} 0.75": everything[[strict]],
        "mean 0.50 to 0.95": everything,
    }
    lines = [Line(name, recall, _mean_line(values)) for name, values in means.items()]
    charts = [_precision_chart("Precision over recall, mean of classes", lines)]
    counted = [score.instances for score in scores]
    places = sorted((k for k, count in enumerate(counted) if count), key=lambda k: -counted[k])[:_LINES]
    if len(places) > 1:
        own = [
            Line(curves.categories[k].name, recall, _mean_line(everything[[half]][..., [k]])) for k in places
        ]
        title = f"Precision over recall by class, {by} 0.50"
        note = (
            f"The {_LINES} classes with the most instances." if len(counted) > len(places) == _LINES else ""
        )
        charts.append(_precision_chart(title, own, note))
    return tuple(charts)


def _precision_chart(title: str, lines: Sequence[Line], note: str = "") -> Chart:
    return Chart(title, "recall", "precision", tuple(lines), note, least=0.0, most=1.0)


def _mean_line(precision: np.ndarray) -> tuple[float, ...]:
    """Mean over thresholds and classes at every recall; NaN where no class has an instance."""
    known = np.where(precision > -1, precision, np.nan)
    columns = known.transpose(1, 0, 2).reshape(known.shape[1], -1)
    return tuple(float(np.nanmean(row)) if not np.isnan(row).all() else math.nan for row in columns)


def all_pairs(
    images: Images, categories: Categories, kind: IouType, min_score: float, least: float = 0.5
) -> dict[int, Pairs]:
    """Pair up objects and results of every image, by image id."""
    return {
        image_id: pair_up(image["annotations"], image["results"], categories, kind, min_score, least)
        for image_id, image in images.items()
    }


def confusion(pairs: Mapping[int, Pairs], categories: Categories, kind: IouType, min_score: float) -> Matrix:
    """Count true and found classes; classes that neither occur nor are found are left out."""
    what, by = _WORDS[kind]
    counts: Counter[tuple[int | None, int | None]] = Counter()
    for image in pairs.values():
        counts.update((entry["category_id"], result["category_id"]) for entry, result in image.pairs)
        counts.update((entry["category_id"], None) for entry in image.missed)
        counts.update((None, result["category_id"]) for result in image.false)
    there = {id_ for pair in counts for id_ in pair}
    shown: list[int | None] = [category.id for category in categories if category.id in there]
    names = [categories[categories.label_of_id[id_]].name for id_ in shown if id_ is not None]
    shown.append(None)
    return Matrix(
        f"Confusion of {what} classes",
        "truth",
        "found",
        (*names, _NOTHING),
        (*names, _NOTHING),
        tuple(tuple(counts[true, found] for found in shown) for true in shown),
        f"Results with a score of at least {min_score:g}, paired with objects at {by} 0.5. The last column "
        "holds objects that were missed, the last row results without an object.",
    )


def keypoint_tables(pairs: Mapping[int, Pairs], categories: Categories) -> tuple[Table, ...]:
    """Return the errors of every keypoint, a table for each category that has some."""
    return tuple(
        _keypoint_table(pairs, category) for category in categories if category.keypoints is not None
    )


def _keypoint_table(pairs: Mapping[int, Pairs], category: Category) -> Table:
    assert category.keypoints is not None
    errors: dict[str, list[float]] = defaultdict(list)
    for image in pairs.values():
        for entry, result in image.pairs:
            if entry["category_id"] == category.id:
                own = keypoint_errors(entry, result, category.keypoints)
                for name, error in zip(category.keypoints.names, own.tolist(), strict=True):
                    errors[name] += [] if math.isnan(error) else [error]
    return Table(
        f"Keypoint errors of {category.name}",
        ("keypoint", "compared", "mean distance", "good", "near", "off"),
        tuple(_keypoint_row(name, np.array(errors[name])) for name in category.keypoints.names),
        "Distance to the truth in units of s k, at which OKS falls to 0.61; s is the root of the object's "
        f"area, k twice the keypoint's sigma. Shares: good, OKS at least {_GOOD}; near, at least {_NEAR}; "
        f"off, below. Of objects found with an OKS of {_SAME_PERSON} or more, at any score.",
    )


def _keypoint_row(name: str, errors: np.ndarray) -> tuple[Cell, ...]:
    if not errors.size:
        return (name, 0, math.nan, math.nan, math.nan, math.nan)
    similar = np.exp(-(errors**2) / 2)
    good, near = float((similar >= _GOOD).mean()), float(((similar >= _NEAR) & (similar < _GOOD)).mean())
    return (name, int(errors.size), float(errors.mean()), good, near, float((similar < _NEAR).mean()))


def mistakes(pairs: Mapping[int, Pairs]) -> tuple[Mistakes, ...]:
    """Return the images with mistakes, worst first, images that are alike by their ids."""
    found = []
    for image_id, image in pairs.items():
        confused = sum(entry["category_id"] != result["category_id"] for entry, result in image.pairs)
        found.append(Mistakes(image_id, len(image.missed), len(image.false), confused))
    return tuple(sorted((m for m in found if m.total), key=lambda m: (-m.total, m.image_id)))
