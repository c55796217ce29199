"""Results of one row each, to be linked: boxes, rectangular masks, skeletons of three keypoints."""

from collections.abc import Sequence

import numpy as np
import torch

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import encode_rle

POSE = KeypointSchema(("head", "left_hand", "right_hand"), flip_pairs=((1, 2),))
CATEGORIES = Categories((Category(1, "person", POSE), Category(7, "cup")))
PERSON, CUP = 0, 1
SIDE = 100

Corners = tuple[float, float, float, float]
Points = Sequence[tuple[float, float, float]]


def row(
    task: str,
    box: Corners,
    score: float = 0.5,
    label: int = PERSON,
    mask: Corners | None = None,
    points: Points | None = None,
    query: int | None = None,
) -> Instances:
    """Return one result: a box, and where asked a rectangular mask or keypoints, or a query of a group."""
    keypoints = torch.full((1, 3, 3), torch.nan)
    if points is not None:
        keypoints[0] = torch.tensor(points)
    plane = np.zeros((SIDE, SIDE), bool)
    if mask is not None:
        x0, y0, x1, y1 = (round(value) for value in mask)
        plane[y0:y1, x0:x1] = True
    return Instances(
        height=SIDE,
        width=SIDE,
        categories=CATEGORIES,
        labels=torch.tensor([label]),
        scores=torch.tensor([score]),
        boxes=torch.tensor([box], dtype=torch.float32),
        tasks=(task,),
        rles=(None if mask is None else encode_rle(plane),),
        keypoints=keypoints,
        queries=() if query is None else (query,),
        image_id=3,
        file_name="a.jpg",
    )


def det(box: Corners, score: float = 0.5, label: int = PERSON) -> Instances:
    return row("det", box, score, label)


def seg(box: Corners, score: float = 0.5, label: int = PERSON) -> Instances:
    """A mask that fills its box."""
    return row("seg", box, score, label, mask=box)


def pose(box: Corners, score: float = 0.5, points: Points | None = None) -> Instances:
    """A skeleton on the middle line of its box, unless told otherwise."""
    x0, y0, x1, y1 = box
    middle = [((x0 + x1) / 2, y0 + share * (y1 - y0), 0.9) for share in (0.2, 0.5, 0.8)]
    return row("pose", box, score, points=points or middle)


BOX = (10.0, 10.0, 50.0, 90.0)
NEAR = (12.0, 10.0, 50.0, 90.0)
FAR = (60.0, 10.0, 95.0, 90.0)
