"""Random true and found segments, and results and annotations that hold them."""

import torch
from torch import Tensor

from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations, TrueSegments
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap, Segment

CATEGORIES = Categories((Category(3, "cat"), Category(7, "dog"), Category(20, "sky"), Category(4, "grass")))
#: Labels of sky and grass.
STUFF = frozenset({2, 3})


def annotate(
    segments: TrueSegments | None, masks: Tensor | None = None, labels: list[int] | None = None
) -> Annotations:
    """Annotations with these segments, or these masks."""
    count = 0 if masks is None else len(masks)
    return Annotations(
        boxes=torch.zeros(count, 4),
        labels=torch.tensor(labels or [], dtype=torch.int64),
        masks=masks,
        keypoints=None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=torch.zeros(count),
        ids=torch.arange(count),
        has=frozenset(),
        segments=segments,
    )


def true_map(ids: Tensor, labels: list[int], crowd: list[bool] | None = None) -> TrueSegments:
    """Segments of known categories."""
    crowds = torch.tensor(crowd or [False] * len(labels), dtype=torch.bool)
    known = torch.ones(len(CATEGORIES), dtype=torch.bool)
    return TrueSegments(ids, torch.tensor(labels, dtype=torch.int64), crowds, known)


def found_map(ids: Tensor, labels: list[int]) -> CategoryMap:
    """A panoptic map of segments 1, 2 and so on."""
    segments = [
        Segment(number, label, 1.0, int((ids == number).sum()), label in STUFF)
        for number, label in enumerate(labels, start=1)
    ]
    return CategoryMap.panoptic(ids, segments, CATEGORIES)


def result(values: CategoryMap | None, image_id: int = 1, name: str = "seg-panoptic") -> ImageResult:
    """A result that holds this map, or none."""
    height, width = (4, 4) if values is None else values.category_ids.shape
    empty = ImageResult.empty(ImageMeta.whole(height, width, image_id, f"{image_id}.png"), CATEGORIES)
    return ImageResult(empty.instances, {} if values is None else {name: values})


def rectangles(rows: int, columns: int, count: int, generator: torch.Generator) -> Tensor:
    """A map of rectangles 1 to ``count``, later ones over earlier ones, on 0."""
    ids = torch.zeros(rows, columns, dtype=torch.int64)
    for number in range(1, count + 1):
        top, left = (int(torch.randint(0, side - 2, (), generator=generator)) for side in (rows, columns))
        height, width = (int(torch.randint(2, 14, (), generator=generator)) for _ in range(2))
        ids[top : top + height, left : left + width] = number
    return ids


def random_case(seed: int) -> tuple[TrueSegments, CategoryMap]:
    """True segments with crowds and unknown pixels, and found ones that are some of them, changed."""
    draw = torch.Generator().manual_seed(seed)
    ids = rectangles(24, 30, 9, draw)
    there = [number for number in range(1, 10) if (ids == number).any()]
    ids = renumbered(ids, there)
    labels = torch.randint(0, 4, (len(there),), generator=draw).tolist()
    # Each image has at most one crowd of a class: panopticapi reads no second one.
    crowd = [i < 2 and labels.index(label) == i for i, label in enumerate(labels)]
    moved = ids.roll(int(torch.randint(0, 3, (), generator=draw)), 1)
    patch = rectangles(24, 30, 3, draw)
    found = torch.where(patch > 0, patch + len(there), moved)
    kept = [number for number in range(1, len(there) + 4) if (found == number).any()]
    confused = [*labels, *torch.randint(0, 4, (3,), generator=draw).tolist()]
    return true_map(ids, labels, crowd), found_map(renumbered(found, kept), [confused[n - 1] for n in kept])


def renumbered(ids: Tensor, kept: list[int]) -> Tensor:
    """The same map with the kept numbers as 1, 2 and so on."""
    out = torch.zeros_like(ids)
    for place, number in enumerate(kept, start=1):
        out[ids == number] = place
    return out
