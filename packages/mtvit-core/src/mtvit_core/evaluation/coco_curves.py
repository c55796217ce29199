"""Precision and recall over thresholds, categories and areas, as pycocotools' COCOeval computes them."""

import contextlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.structures.categories import Categories, Category

if TYPE_CHECKING:  # at run time only where it computes: training starts without it
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

#: Results per image and category that count, as in COCO's own tables.
_MAX_RESULTS = {"bbox": 100, "segm": 100, "keypoints": 20}


@dataclass(frozen=True)
class ClassScore:
    """The scores of one category; NaN where it has no annotated instance.

    Attributes:
        category: The category.
        instances: Annotated instances that count: no crowds, and for keypoints no one without a labelled
            keypoint.
        ap: Mean precision over IoU (or OKS) 0.50 to 0.95.
        ap50: Mean precision at 0.50.
        ar: Mean recall over 0.50 to 0.95.
    """

    category: Category
    instances: int
    ap: float
    ap50: float
    ar: float


@dataclass(frozen=True)
class Curves:
    """What COCOeval accumulates for the most results per image; -1 marks what has no ground truth.

    Attributes:
        precision: Thresholds x recalls x categories x areas.
        recall: Thresholds x categories x areas.
        thresholds: IoU or OKS of the first axis.
        areas: Names of the last axis.
        categories: Categories of their axis, by rising id.
    """

    precision: ndarray
    recall: ndarray
    thresholds: ndarray
    areas: tuple[str, ...]
    categories: tuple[Category, ...]

    def average_precision(self, threshold: float | None = None, area: str = "all") -> float:
        """Mean precision over thresholds (or at one), recalls and categories; NaN without ground truth."""
        rows = slice(None) if threshold is None else np.isclose(self.thresholds, threshold)
        return _mean(self.precision[rows][..., self.areas.index(area)])

    def average_recall(self) -> float:
        """Mean over thresholds and categories of the highest recall, for objects of all areas."""
        return _mean(self.recall[..., self.areas.index("all")])

    def only(self, category: int) -> "Curves":
        """Return the curves of one category, by its place in ``categories``."""
        one = slice(category, category + 1)
        return Curves(
            self.precision[:, :, one], self.recall[:, one], self.thresholds, self.areas, self.categories[one]
        )


def _mean(values: ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def coco_curves(images: Mapping[int, Mapping[str, Any]], categories: Categories, kind: IouType) -> Curves:
    """Run COCOeval.

    Args:
        images: By image id: ``height``, ``width``, and ``annotations`` and ``results`` as COCO entries
            without ids.
        categories: Classes of the annotations; for keypoints, those with a schema are evaluated one by one,
            because COCOeval knows a single set of sigmas.
        kind: What is compared.
    """
    chosen = sorted(categories, key=lambda category: category.id)
    runs = [chosen]
    if kind == "keypoints":
        chosen = [category for category in chosen if category.keypoints is not None]
        runs = [[category] for category in chosen]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports each step by print
        truth = _truth(images, chosen)
        found = _results(images, truth)
        evaluations = [_evaluate(truth, found, run, kind) for run in runs]
    return Curves(
        precision=np.concatenate([e.eval["precision"][..., -1] for e in evaluations], axis=2),
        recall=np.concatenate([e.eval["recall"][..., -1] for e in evaluations], axis=1),
        thresholds=evaluations[0].params.iouThrs,
        areas=tuple(evaluations[0].params.areaRngLbl),
        categories=tuple(chosen),
    )


def _truth(images: Mapping[int, Mapping[str, Any]], categories: Iterable[Category]) -> "COCO":
    sizes = [{"id": i, "height": image["height"], "width": image["width"]} for i, image in images.items()]
    # From 1, because COCOeval takes an annotation whose id is 0 for one that was not found.
    entries = [{**entry, "id": n} for n, entry in enumerate(_entries(images, "annotations"), start=1)]
    names = [{"id": category.id, "name": category.name} for category in categories]
    return _indexed({"images": sizes, "annotations": entries, "categories": names})


def _results(images: Mapping[int, Mapping[str, Any]], truth: "COCO") -> "COCO":
    entries = _entries(images, "results")
    return truth.loadRes(entries) if entries else _indexed({"annotations": []})  # loadRes cannot read none


def _indexed(dataset: dict[str, Any]) -> "COCO":
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _entries(images: Mapping[int, Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    # Copies, because COCOeval writes into the entries.
    return [{**entry, "image_id": i} for i, image in images.items() for entry in image[key]]


def _evaluate(truth: "COCO", found: "COCO", categories: list[Category], kind: IouType) -> "COCOeval":
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(truth, found, kind)
    evaluation.params.catIds = [category.id for category in categories]
    evaluation.params.maxDets = [_MAX_RESULTS[kind]]
    if kind == "keypoints":
        assert categories[0].keypoints is not None
        evaluation.params.kpt_oks_sigmas = np.array(categories[0].keypoints.sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation
