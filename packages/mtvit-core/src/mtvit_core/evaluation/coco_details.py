"""Details of a COCO evaluation: scores of classes, precision over recall, confusions, errors of keypoints."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from mtvit_core.evaluation.coco_curves import ClassScore, Curves
from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.evaluation.coco_image import CocoImage
from mtvit_core.evaluation.coco_pairs import Pairs, keypoint_errors, pair_up
from mtvit_core.evaluation.details import Cell, Chart, Details, Line, Matrix, Mistakes, Table
from mtvit_core.structures.categories import Categories, Category

#: What is compared, and by what.
_WORDS = {"bbox": ("box", "IoU"), "segm": ("mask", "IoU"), "keypoints": ("keypoint", "OKS")}
#: Classes with a line of their own, those with the most instances.
_LINES = 8
#: OKS from which the keypoints of a person are compared one by one (Ronchi and Perona 2017, Sec. 3.1).
_SAME_PERSON = 0.1
#: Similarity of a keypoint, exp(-e^2 / 2), from which it is good, and from which it is near (same source).
_GOOD, _NEAR = 0.85, 0.5
_NOTHING = "background"

Images = Mapping[int, CocoImage]
#: Ids of the true and the found category of an object; None where it was missed, or is none.
Classes = tuple[int | None, int | None]


def coco_details(
    images: Images,
    categories: Categories,
    kind: IouType,
    curves: Curves,
    scores: Sequence[ClassScore],
    min_score: float,
) -> Details:
    """Return all details of one evaluation.

    Args:
        images: Annotations and results by image id.
        categories: Classes of both.
        kind: What is compared.
        curves: Precision and recall of the same images.
        scores: Scores of the classes.
        min_score: Results below it count in no matrix and no mistake.
    """
    counts: Counter[Classes] = Counter()
    made, errors = [], defaultdict(list)
    for image_id, image in images.items():
        objects, results = image.annotations, image.results
        own = paired_classes(pair_up(objects, results, categories, kind, min_score))
        counts.update(own)
        made.append(mistakes(image_id, own))
        if kind == "keypoints":
            for entry, result in pair_up(objects, results, categories, kind, 0.0, _SAME_PERSON).pairs:
                schema = categories[categories.label_of_id[entry["category_id"]]].keypoints
                assert schema is not None
                errors[entry["category_id"]].append(keypoint_errors(entry, [result], schema)[0])
    tables = keypoint_tables(errors, categories) if kind == "keypoints" else ()
    return Details(
        tables=(class_table(scores, kind), *tables),
        charts=precision_charts(curves, scores, kind),
        matrices=(confusion(counts, categories, kind, min_score),),
        mistakes=worst_first(made),
    )


def class_table(scores: Sequence[ClassScore], kind: IouType) -> Table:
    """Return instances, AP, AP50 and AR of every class."""
    what, by = _WORDS[kind]
    return Table(
        f"{what.capitalize()} scores by class",
        ("class", "instances", "AP", "AP50", "AR"),
        tuple((score.category.name, score.instances, score.ap, score.ap50, score.ar) for score in scores),
        f"AP and AR are means over {by} 0.50 to 0.95.",
    )


def precision_charts(curves: Curves, scores: Sequence[ClassScore], kind: IouType) -> tuple[Chart, ...]:
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


def paired_classes(image: Pairs) -> Counter[Classes]:
    """Count true and found classes of one image."""
    counts: Counter[Classes] = Counter()
    counts.update((entry["category_id"], result["category_id"]) for entry, result in image.pairs)
    counts.update((entry["category_id"], None) for entry in image.missed)
    counts.update((None, result["category_id"]) for result in image.false)
    return counts


def confusion(
    counts: Mapping[Classes, int], categories: Categories, kind: IouType, min_score: float
) -> Matrix:
    """Tabulate true and found classes; classes that neither occur nor are found are left out."""
    what, by = _WORDS[kind]
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
        tuple(tuple(counts.get((true, found), 0) for found in shown) for true in shown),
        f"Results with a score of at least {min_score:g}, paired with objects at {by} 0.5. The last column "
        "holds objects that were missed, the last row results without an object.",
    )


def keypoint_tables(errors: Mapping[int, Sequence[np.ndarray]], categories: Categories) -> tuple[Table, ...]:
    """Return the errors of every keypoint, a table for each category that has some.

    Args:
        errors: By category id: ``keypoint_errors`` of every object that was found.
        categories: All categories.
    """
    return tuple(
        _keypoint_table(errors.get(category.id, ()), category)
        for category in categories
        if category.keypoints is not None
    )


def _keypoint_table(errors: Sequence[np.ndarray], category: Category) -> Table:
    assert category.keypoints is not None
    names = category.keypoints.names
    columns = np.reshape(errors, (-1, len(names))).T
    return Table(
        f"Keypoint errors of {category.name}",
        ("keypoint", "compared", "mean distance", "good", "near", "off"),
        tuple(_keypoint_row(n, own[~np.isnan(own)]) for n, own in zip(names, columns, strict=True)),
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


def mistakes(image_id: int, counts: Mapping[Classes, int]) -> Mistakes:
    """Tell how wrong one image is."""
    missed = sum(count for (_, found), count in counts.items() if found is None)
    false = sum(count for (true, _), count in counts.items() if true is None)
    confused = sum(
        count for (true, found), count in counts.items() if None not in (true, found) and true != found
    )
    return Mistakes(image_id, missed, false, confused)


def worst_first(made: Sequence[Mistakes]) -> tuple[Mistakes, ...]:
    """Return the images with mistakes, worst first, images that are alike by their ids."""
    return tuple(sorted((m for m in made if m.total), key=lambda m: (-m.total, m.image_id)))
