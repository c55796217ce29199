"""Whether two models find the same objects: by matching objects, never by comparing rows.

Half precision changes which patches become queries, so that row 7 of one is row 9 of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.boxes import box_iou
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances

#: Score from which objects count; of an image without any, the best ``FEW`` count.
SURE, FEW = 0.3, 10
#: Overlap from which two boxes are of one object.
SAME = 0.5


@dataclass(frozen=True)
class Agreement:
    """How far the objects that an exported model finds are those of its model.

    Attributes:
        task: The task.
        objects: Objects of the model.
        found: Those that the exported model finds too, by class and box.
        extra: Objects of the exported model that the model does not find.
        score: Largest difference of the scores of matched objects.
        box: Largest distance of their corners, in original pixels.
        keypoint: Largest distance of their keypoints in x or y; None where there are none.
        ap: Average precision of the exported model's boxes where the model's are the truth.
    """

    task: str
    objects: int
    found: int
    extra: int
    score: float
    box: float
    keypoint: float | None
    ap: float


def agreement(task: str, expected: Sequence[ImageResult], found: Sequence[ImageResult]) -> Agreement:
    """Compare what a task finds in the same images.

    Args:
        task: Its name.
        expected: Results of the model, not linked.
        found: Results of its export, not linked.
    """
    matched = objects = extra = 0
    score = box = 0.0
    keypoint: float | None = None
    for one, other in zip(expected, found, strict=True):
        truth, told = _counted(one.of(task).instances), other.of(task).instances
        pairs = _pairs(truth, told)
        objects, matched = objects + len(truth), matched + len(pairs)
        extra += max(0, len(_counted(told)) - len(pairs))
        if not len(pairs):
            continue
        a, b = truth[pairs[:, 0]], told[pairs[:, 1]]
        score = max(score, float((a.scores - b.scores).abs().max()))
        box = max(box, float((a.boxes - b.boxes).abs().max()))
        gaps = (a.keypoints - b.keypoints)[..., :2].abs().nan_to_num()
        if gaps.numel():
            keypoint = max(keypoint or 0.0, float(gaps.max()))
    return Agreement(task, objects, matched, extra, score, box, keypoint, _ap(task, expected, found))


def _counted(found: Instances) -> Instances:
    """The objects that count, best first."""
    best = found[found.scores.argsort(descending=True, stable=True)]
    return best.above(SURE) if bool((best.scores >= SURE).any()) else best[:FEW]


def _pairs(truth: Instances, told: Instances) -> Tensor:
    """Rows of the same objects, each at most once, P 2; the better object chooses first."""
    if not len(truth) or not len(told):
        return torch.zeros(0, 2, dtype=torch.int64)
    overlap = box_iou(truth.boxes[:, None], told.boxes[None]) * (truth.labels[:, None] == told.labels)
    # Boxes alike are told apart by their scores.
    rank = overlap - (truth.scores[:, None] - told.scores).abs()
    pairs = []
    for row in range(len(truth)):
        rank_of_row = rank[row].masked_fill(overlap[row] < SAME, -torch.inf)
        best = int(rank_of_row.argmax())
        if rank_of_row[best] > -torch.inf:
            pairs.append((row, best))
            overlap[:, best] = 0
    return torch.tensor(pairs, dtype=torch.int64).view(-1, 2)


def _ap(task: str, expected: Sequence[ImageResult], found: Sequence[ImageResult]) -> float:
    evaluator = CocoEvaluator(task, "bbox", expected[0].categories)
    for i, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        truth, told = _counted(one.of(task).instances), other.of(task)
        meta = ImageMeta.whole(one.height, one.width, i)
        counting = replace(told, instances=_counting(truth, told.instances)).named(i, "")
        evaluator.update([counting], [_annotated(truth)], [meta])
    return evaluator.compute()["AP"]


def _counting(truth: Instances, told: Instances) -> Instances:
    """Objects that are of the truth, or sure.

    Others are no mistakes: where a model is unsure, the 11th object of one image may have a better score than
    the first of another.
    """
    kept = told.scores >= SURE
    kept[_pairs(truth, told)[:, 1]] = True
    return told[kept]


def _annotated(truth: Instances) -> Annotations:
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    return Annotations(
        boxes=truth.boxes,
        labels=truth.labels,
        masks=None,
        keypoints=None,
        is_crowd=torch.zeros(len(truth), dtype=torch.bool),
        areas=sides.prod(1).clamp(min=1),
        ids=torch.arange(1, len(truth) + 1),
        has=frozenset({"boxes"}),
    )
