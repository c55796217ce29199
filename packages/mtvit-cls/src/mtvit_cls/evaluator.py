"""Accuracy and mean average precision of image labels, and which classes are confused.

    top-k  share of images whose class is among the k best scores; of equal scores the first class is better
    AP     sum_t (R_t - R_t-1) P_t over falling thresholds t,  P and R of the images with a score of t or more
    mAP    mean over classes that an image shows

Images of equal score pass a threshold together, so their order changes nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from mtvit_cls.confusion import confusion_matrix
from mtvit_core.evaluation.details import Details, Mistakes, Table
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta


@dataclass(frozen=True)
class Answers:
    """Scores and truth of images; a class that nobody looked for counts neither for nor against."""

    scores: Float32[ndarray, "I C"]
    shown: Bool[ndarray, "I C"]
    known: Bool[ndarray, "I C"]


class ClassificationEvaluator(Evaluator):
    """Keeps the scores and the truth of each labelled image."""

    def __init__(self, task: str, categories: Categories, single: bool) -> None:
        """Start without images.

        Args:
            task: Name of the task, under which results hold its labels.
            categories: The classes.
            single: Whether each image shows one class.
        """
        self.task, self.categories, self.single = task, categories, single
        self.images: dict[int, tuple[ndarray, ndarray, ndarray]] = {}

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images; a class that is missing from the results has score 0."""
        for found, truth, image in zip(results, annotations, meta, strict=True):
            if truth.image_labels is None:
                continue
            own = found.labels[self.task]
            scores = torch.zeros(len(self.categories)).index_put((own.labels,), own.scores)
            told = truth.image_labels
            self.images[image.image_id] = scores.numpy(), (told.present > 0).numpy(), told.known.numpy()

    def state(self) -> dict[str, Any]:
        """Return the images by id."""
        return {"images": self.images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace the images by those of all states."""
        self.images = {id_: image for state in states for id_, image in state["images"].items()}

    @property
    def answers(self) -> Answers:
        """The images, stacked."""
        parts = list(zip(*self.images.values(), strict=True)) or [()] * 3
        none = (0, len(self.categories))
        scores, shown, known = (np.stack(part) if part else np.zeros(none) for part in parts)
        return Answers(scores.astype(np.float32), shown.astype(bool), known.astype(bool))

    def compute(self) -> dict[str, float]:
        """Return mAP; of single labels top1 too, and top5 where there are more than five classes."""
        answers = self.answers
        each = average_precisions(answers)
        found = {"mAP": float(np.nanmean(each)) if np.isfinite(each).any() else math.nan}
        if not self.single:
            return found
        ks = (1, 5) if len(self.categories) > 5 else (1,)
        return {**{f"top{k}": accuracy(answers, k) for k in ks}, **found}

    def details(self, min_score: float) -> Details:
        """Return the scores of the classes and, of single labels, the confusions and the wrong images."""
        answers = self.answers
        rows = tuple(
            (category.name, int(answers.shown[:, c].sum()), float(ap))
            for c, (category, ap) in enumerate(zip(self.categories, average_precisions(answers), strict=True))
        )
        table = Table("Image labels by class", ("class", "images", "AP"), rows)
        if not self.single:
            return Details(tables=(table,))
        true, said = classes(answers)
        images = np.array(list(self.images))[answers.shown.any(1)]
        wrong = [Mistakes(int(id_), missed=0, false=0, confused=1) for id_ in images[true != said]]
        matrix = confusion_matrix(true, said, [category.name for category in self.categories])
        return Details(tables=(table,), matrices=(matrix,), mistakes=tuple(wrong))


def classes(answers: Answers) -> tuple[Int64[ndarray, " I"], Int64[ndarray, " I"]]:
    """Return the true and the best known class of each image that shows one."""
    seen = answers.shown.any(1)
    scores = np.where(answers.known, answers.scores, -1)[seen]
    return answers.shown[seen].argmax(1), scores.argmax(1)


def accuracy(answers: Answers, k: int) -> float:
    """Return the share of images whose class is among the k best known ones; NaN where there is none."""
    seen = answers.shown.any(1)
    scores = np.where(answers.known, answers.scores, -1)[seen]
    best = (-scores).argsort(1, kind="stable")[:, :k]
    hits = np.take_along_axis(answers.shown[seen], best, 1)
    return float(hits.any(1).mean()) if seen.any() else math.nan


def average_precisions(answers: Answers) -> ndarray:
    """Return AP of each class, C; NaN where no image shows it."""
    columns = zip(answers.scores.T, answers.shown.T, answers.known.T, strict=True)
    return np.array([average_precision(scores[known], shown[known]) for scores, shown, known in columns])


def average_precision(scores: Float32[ndarray, " I"], shown: Bool[ndarray, " I"]) -> float:
    """Return the area under precision over recall, in steps; NaN where nothing is shown."""
    if not shown.any():
        return math.nan
    order = (-scores).argsort(kind="stable")
    hits = shown[order].cumsum()
    ends = np.append(np.diff(scores[order]) != 0, True)  # the last image of each score
    precision, recall = (hits / np.arange(1, len(hits) + 1))[ends], (hits / hits[-1])[ends]
    return float((np.diff(recall, prepend=0) * precision).sum())
