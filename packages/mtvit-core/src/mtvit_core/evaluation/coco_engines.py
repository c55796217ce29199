"""The engines that compare results with annotations: hotcoco, and pycocotools, the field's reference.

Both get the same entries, numbered from 1 by rising id: images and categories since hotcoco takes no
negative id, annotations since pycocotools takes 0 for "not found". Of results that score alike, those of the
image with the lower id come first.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mtvit_core.errors import ConfigError, did_you_mean
from mtvit_core.evaluation.coco_curves import Curves
from mtvit_core.evaluation.coco_entries import Entry, IouType
from mtvit_core.evaluation.coco_image import CocoImage
from mtvit_core.structures.categories import Categories, Category

Engine = Literal["hotcoco", "pycocotools"]
#: The engine where none is asked for.
ENGINE: Engine = "hotcoco"

#: Results per image and category that count, as in COCO's own tables.
MAX_RESULTS = {"bbox": 100, "segm": 100, "keypoints": 20}
#: Images that hotcoco is given at a time; those of one call are unpacked together.
_IMAGES = 32


def coco_curves(
    images: Mapping[int, CocoImage], categories: Categories, kind: IouType, engine: Engine, most: int = 0
) -> Curves:
    """Compare results with annotations; what the engines return differs in no digit.

    Args:
        images: Images by id.
        categories: Classes of the annotations; for keypoints, those with a schema are evaluated one by one,
            because the engines know a single set of sigmas.
        kind: What is compared.
        engine: What compares.
        most: Results per image and category that count; 0: as many as in COCO's own tables.
    """
    chosen = sorted(categories, key=lambda category: category.id)
    groups = [chosen]
    if kind == "keypoints":
        groups = [[category] for category in chosen if category.keypoints is not None]
    run, counted = _ENGINES[engine], most or MAX_RESULTS[kind]
    return Curves.join([run(images, tuple(group), kind, counted) for group in groups])


def check_engine(name: str) -> None:
    """Refuse the name of an engine that there is not.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in _ENGINES:
        raise ConfigError(
            f"evaluation engine {name!r}: there is none of this name.{did_you_mean(name, _ENGINES)} "
            f"Allowed: {', '.join(_ENGINES)}."
        )


@dataclass(frozen=True)
class _Numbered:
    """Some images as the engines take them: entries that name image and category by number."""

    sizes: list[Entry]
    annotations: list[Entry]
    results: list[Entry]


def _by_hotcoco(
    images: Mapping[int, CocoImage], categories: Sequence[Category], kind: IouType, most: int
) -> Curves:
    from hotcoco import Params, StreamingEval

    params = Params(kind)
    params.max_dets = [most]
    if kind == "keypoints":
        params.kpt_oks_sigmas = list(_sigmas(categories))
    stream = StreamingEval(_names(categories), kind, params=params)
    for part in _numbered(images, categories, _IMAGES):
        stream.update(part.sizes, part.annotations, part.results)
    return _accumulated(stream.finalize(), categories)


def _by_pycocotools(
    images: Mapping[int, CocoImage], categories: Sequence[Category], kind: IouType, most: int
) -> Curves:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    whole = next(_numbered(images, categories, len(images) or 1), _Numbered([], [], []))
    with contextlib.redirect_stdout(io.StringIO()):  # it reports each step by print
        truth, found = COCO(), COCO()
        found.dataset = {"annotations": []}
        truth.dataset = {
            "images": whole.sizes,
            "annotations": whole.annotations,
            "categories": _names(categories),
        }
        truth.createIndex()
        if whole.results:  # loadRes cannot read none
            found = truth.loadRes(whole.results)
        evaluation = COCOeval(truth, found, kind)
        evaluation.params.maxDets = [most]
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.array(_sigmas(categories))
        evaluation.evaluate()
        return _accumulated(evaluation, categories)


_ENGINES: dict[str, Callable[[Mapping[int, CocoImage], Sequence[Category], IouType, int], Curves]] = {
    "hotcoco": _by_hotcoco,
    "pycocotools": _by_pycocotools,
}


def _accumulated(evaluation: Any, categories: Sequence[Category]) -> Curves:
    """Read the tables of either engine's COCOeval."""
    evaluation.accumulate()
    return Curves(
        precision=evaluation.eval["precision"][..., -1],
        recall=evaluation.eval["recall"][..., -1],
        thresholds=np.array(evaluation.params.iouThrs),
        areas=tuple(evaluation.params.areaRngLbl),
        categories=tuple(categories),
    )


def _names(categories: Sequence[Category]) -> list[Entry]:
    return [{"id": number, "name": category.name} for number, category in enumerate(categories, start=1)]


def _sigmas(categories: Sequence[Category]) -> tuple[float, ...]:
    (category,) = categories
    assert category.keypoints is not None
    return category.keypoints.sigmas


def _numbered(
    images: Mapping[int, CocoImage], categories: Sequence[Category], count: int
) -> Iterator[_Numbered]:
    """Yield ``count`` images at a time, with the entries of the categories alone."""
    number = {category.id: n for n, category in enumerate(categories, start=1)}
    ids, annotated = sorted(images), 0
    for start in range(0, len(ids), count):
        part = _Numbered([], [], [])
        for n, image_id in enumerate(ids[start : start + count], start=start + 1):
            image = images[image_id]
            part.sizes.append({"id": n, "height": image.height, "width": image.width})
            for entries, to in ((image.annotations, part.annotations), (image.results, part.results)):
                own = [entry for entry in entries if entry["category_id"] in number]
                to += [{**entry, "image_id": n, "category_id": number[entry["category_id"]]} for entry in own]
        for entry in part.annotations:
            annotated += 1
            entry["id"] = annotated
        yield part
