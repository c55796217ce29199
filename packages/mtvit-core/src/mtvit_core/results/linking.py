"""Linking: rows of several tasks that are one object become one row.

    g(i, j) = IoU of the boxes i and j, of one category;  0 where both bring a mask, or both keypoints
    f(i, j) = share of i's confident keypoints that lie inside j's mask, where i has keypoints and j a mask
    a(i, j) = g, or sqrt(g f) where f is defined
    a(o, j) = min over the rows i of object o of a(i, j),  where i and j of one query count as 1

Tasks join one after the other, those with boxes alone first, then those with masks, then those with
keypoints. Each gives a row to an object by the one-to-one assignment of the largest sum of a(o, j) s_o s_j
(s: scores) among pairs with a(o, j) at least a limit. The score of a link is the least a of any two of its
rows.

Rows of one query of an instance group and of one category are one object by what they are, and are joined
before the others; the score of their link tells how well they agree all the same.

Source: assignment by overlap times score is that of ByteTrack (Zhang et al. 2022, ``fuse_score`` of its
code), which links boxes over time; the least agreement of any two is complete linkage (Sørensen 1948).
Keypoints tell people apart whose boxes are nearly the same. A row that brings nothing but a box joins too:
two tasks with boxes agree on an object, and both boxes are kept.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from mtvit_core.structures.boxes import box_iou
from mtvit_core.structures.instances import Finding, Instances, Link
from mtvit_core.structures.masks import Rle, points_to_rle, shares_inside

#: Least agreement of rows that are one object: the overlap from which COCO counts a box as found.
MIN_LINK = 0.5
#: Score from which a keypoint is confident; the one from which it is drawn.
CONFIDENT_KEYPOINT = 0.3


def link(found: Instances, min_link: float = MIN_LINK, apart: Collection[str] = ()) -> Instances:
    """Make one row of the rows of several tasks that are one object.

    Args:
        found: What several tasks found in one image; what is linked already is linked anew.
        min_link: Least agreement of any two rows of an object, in [0, 1].
        apart: Tasks whose rows stay as they are.

    Returns:
        One row per object, at the place of its first. It has the box of the first task that finds boxes
        alone, else that of the mask, and the largest score; ``links`` keeps each task's box and score. Rows
        that nothing is linked with stay as they are. What comes out does not depend on the order of rows, but
        for the order of objects.
    """
    found = found.apart()
    agreement, scores = agreements(found, min_link), found.scores.tolist()
    possible = _possible(found)
    belonging = np.where(_one_query(found) & possible, 1.0, agreement)
    objects: list[list[int]] = []
    together = belonging[:0]  # objects x rows
    for rows in _by_task(found, apart):
        pairs = _of_one_query(found, objects, rows, possible)
        taken = set(pairs.values())
        free = [object_ for object_ in range(len(objects)) if object_ not in pairs]
        rest = [row for row in rows if row not in taken]
        best = [max(scores[row] for row in objects[object_]) for object_ in free]
        assigned = assign(together[np.ix_(free, rest)], best, [scores[row] for row in rest], min_link)
        pairs |= {free[i]: rest[j] for i, j in assigned}
        for object_, row in pairs.items():
            objects[object_].append(row)
            together[object_] = np.minimum(together[object_], belonging[row])
        taken |= set(pairs.values())
        new = [row for row in rows if row not in taken]
        objects += [[row] for row in new]
        together = np.concatenate([together, belonging[new]])
    objects += [[i] for i, task in enumerate(found.tasks) if task in apart]
    if len(objects) == len(found):
        return found
    return _merged(found, sorted(objects, key=min), agreement)


def assign(
    agreement: Float[ndarray, "M M2"], left: Sequence[float], right: Sequence[float], least: float
) -> list[tuple[int, int]]:
    """Return the one-to-one pairs of the largest sum of agreement times both scores.

    Args:
        agreement: Of each pair, in [0, 1].
        left: Scores of the rows.
        right: Scores of the columns.
        least: Agreement of a pair at least.
    """
    weight = np.where(agreement >= least, agreement * np.outer(left, right), 0)
    pairs = zip(*linear_sum_assignment(weight, maximize=True), strict=True)
    return [(int(i), int(j)) for i, j in pairs if weight[i, j] > 0]


def agreements(found: Instances, min_link: float = MIN_LINK) -> Float[ndarray, "M M"]:
    """Agreement a(i, j) of any two rows; of pairs that a limit rules out by their boxes, any less than it.

    A box of NaN agrees with none: its a is NaN.
    """
    masked = _masked(found)
    overlap = box_iou(found.boxes[:, None], found.boxes).double().numpy()
    overlap *= _possible(found)
    # sqrt(g f) is less than the limit where g is less than its square.
    near = (overlap > 0) & ((overlap >= min_link**2) | _one_query(found))
    keypoints = found.keypoints.numpy()
    sure = keypoints[..., 2] >= CONFIDENT_KEYPOINT
    skeletons = np.flatnonzero(sure.any(1) & near[:, masked].any(1))
    masks = np.flatnonzero(masked & near[skeletons].any(0))
    if len(masks):
        both = np.ix_(skeletons, masks)
        inside = _inside(
            keypoints[skeletons], sure[skeletons], [rle for j in masks if (rle := found.rles[j])]
        )
        overlap[both] = np.sqrt(overlap[both] * inside)
        overlap[np.ix_(masks, skeletons)] = overlap[both].T
    return overlap


def _possible(found: Instances) -> Bool[ndarray, "M M"]:
    """Which rows can be one object: those of one category that bring neither two masks nor two skeletons."""
    labels = found.labels.numpy()
    possible = labels[:, None] == labels
    for has in (_masked(found), _posed(found)):
        possible &= ~(has[:, None] & has)
    return np.asarray(possible)


def _one_query(found: Instances) -> Bool[ndarray, "M M"]:
    """Which rows of different tasks are of one query and one category."""
    if not found.queries:
        return np.zeros((len(found), len(found)), bool)
    tasks, labels = np.array(found.tasks), found.labels.numpy()
    queries = np.array([-1 if query is None else query for query in found.queries])
    own = (queries[:, None] == queries) & (queries >= 0)
    return np.asarray(own & (labels[:, None] == labels) & (tasks[:, None] != tasks))


def _of_one_query(
    found: Instances,
    objects: Sequence[Sequence[int]],
    rows: Sequence[int],
    possible: Bool[ndarray, "M M"],
) -> dict[int, int]:
    """Rows of a task whose query and category an object holds already, by object; the first of several."""
    if not found.queries:
        return {}
    labels = found.labels.tolist()
    place = {(found.queries[i], labels[i]): object_ for object_, own in enumerate(objects) for i in own}
    pairs: dict[int, int] = {}
    for row in rows:
        object_ = place.get((found.queries[row], labels[row]))
        if object_ is not None and found.queries[row] is not None and possible[objects[object_], row].all():
            pairs.setdefault(object_, row)
    return pairs


def _inside(
    keypoints: Float[ndarray, "M K 3"], sure: Bool[ndarray, "M K"], masks: Sequence[Rle]
) -> Float[ndarray, "M M2"]:
    """Share of each skeleton's confident keypoints inside each mask; those on one pixel count once."""
    height, width = masks[0].size
    points = keypoints[..., :2]
    within = sure & ((points >= 0) & (points < (width, height))).all(-1)
    pixels = [points_to_rle(own[kept], height, width) for own, kept in zip(points, within, strict=True)]
    return np.asarray(shares_inside(pixels, masks) * (within.sum(1) / sure.sum(1))[:, None])


def _masked(found: Instances) -> Bool[ndarray, " M"]:
    """Which rows have a mask."""
    return np.array([rle is not None for rle in found.rles], bool)


def _posed(found: Instances) -> Bool[ndarray, " M"]:
    """Which rows have keypoints."""
    return np.asarray((~found.keypoints.isnan()).flatten(1).any(1))


def _by_task(found: Instances, apart: Collection[str]) -> list[list[int]]:
    """Rows of each task that may be linked, in an order that does not depend on that of the rows."""
    masked, posed, keypoints = _masked(found), _posed(found), found.keypoints.numpy()
    scores, labels, boxes = found.scores.tolist(), found.labels.tolist(), found.boxes.tolist()
    tasks: dict[str, list[int]] = {}
    for row, task in enumerate(found.tasks):
        if task not in apart:
            tasks.setdefault(task, []).append(row)

    def kind(task: str) -> tuple[bool, bool, str]:
        return bool(posed[tasks[task]].any()), bool(masked[tasks[task]].any()), task

    def content(row: int) -> tuple[Any, ...]:
        rle = found.rles[row]
        return -scores[row], labels[row], boxes[row], rle.counts if rle else "", keypoints[row].tobytes()

    return [sorted(tasks[task], key=content) for task in sorted(tasks, key=kind)]


def _merged(found: Instances, objects: Sequence[list[int]], agreement: Float[ndarray, "M M"]) -> Instances:
    masked, posed = _masked(found).tolist(), _posed(found).tolist()
    scores, boxes = found.scores.tolist(), found.boxes.tolist()

    def bearer(has: list[bool]) -> list[int]:
        """The row of each object that has this part, else its first."""
        return [next((row for row in rows if has[row]), rows[0]) for rows in objects]

    def finding(row: int) -> Finding:
        x0, y0, x1, y1 = boxes[row]
        query = found.queries[row] if found.queries else None
        return Finding(found.tasks[row], scores[row], (x0, y0, x1, y1), masked[row], posed[row], query)

    def linked(rows: list[int]) -> Link | None:
        if len(rows) == 1:
            return None
        return Link(float(min(agreement[i, j] for i, j in combinations(rows, 2))), tuple(map(finding, rows)))

    best = [max(rows, key=scores.__getitem__) for rows in objects]
    return replace(
        found[torch.tensor([rows[0] for rows in objects])],
        scores=found.scores[best],
        tasks=tuple("+".join(found.tasks[row] for row in rows) for rows in objects),
        rles=tuple(found.rles[row] for row in bearer(masked)),
        keypoints=found.keypoints[bearer(posed)],
        links=tuple(linked(rows) for rows in objects),
    )
