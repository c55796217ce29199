"""hotcoco gives what pycocotools gives: random images full of ties, crowds and empty things, and odd ids."""

import sys
from collections.abc import Mapping

import numpy as np
import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.coco_curves import Curves
from mtvit_core.evaluation.coco_engines import check_engine, coco_curves
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.evaluation.coco_image import CocoImage
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import encode_rle

KINDS = ("bbox", "segm", "keypoints")
SIZE = 40


def schema(rng: np.random.Generator) -> KeypointSchema:
    count = int(rng.integers(1, 20))
    return KeypointSchema(
        tuple(f"point {i}" for i in range(count)), sigmas=tuple(rng.uniform(0.02, 0.3, count).tolist())
    )


def draw_categories(rng: np.random.Generator, kind: str) -> Categories:
    """One to three categories, in no order; of keypoints, some have none."""
    ids = rng.choice(50, rng.integers(1, 4), replace=False).tolist()
    named = kind == "keypoints"
    made = [
        Category(id_, f"class {id_}", schema(rng) if named and (n == 0 or rng.random() < 0.6) else None)
        for n, id_ in enumerate(ids)
    ]
    return Categories(tuple(made))


def draw_box(rng: np.random.Generator) -> list[float]:
    """Whole numbers, so that overlaps are often the same; some boxes have no area."""
    return rng.integers(0, SIZE // 2, 4).astype(float).tolist()


def shape_of(kind: str, category: Category, box: list[float], rng: np.random.Generator) -> dict:
    """What is compared: a box, a mask that fills it, or points in it."""
    x, y, w, h = box
    if kind == "segm":
        mask = np.zeros((SIZE, SIZE), bool)
        mask[int(y) : int(y + h), int(x) : int(x + w)] = True
        return {"segmentation": {"size": [SIZE, SIZE], "counts": encode_rle(mask).counts}}
    if kind == "keypoints":
        assert category.keypoints is not None
        places = rng.uniform((x, y), (x + w + 1, y + h + 1), (len(category.keypoints.names), 2))
        shown = rng.integers(0, 3, (len(places), 1)) * (rng.random() < 0.85)
        return {"keypoints": np.hstack([places, shown]).ravel().tolist()}
    return {"bbox": box}


def draw_image(rng: np.random.Generator, kind: str, categories: Categories) -> CocoImage:
    """Some objects, and results that are near one, or anywhere; now and then more than count."""
    able = [category for category in categories if kind != "keypoints" or category.keypoints]
    annotations, results = [], []
    for _ in range(rng.integers(0, 6)):
        category, box = able[rng.integers(len(able))], draw_box(rng)
        entry = {"category_id": category.id, "bbox": box, "area": box[2] * box[3] * float(rng.choice([1, 9]))}
        entry |= {"iscrowd": int(rng.random() < 0.2), **shape_of(kind, category, box, rng)}
        if kind == "keypoints":
            entry["num_keypoints"] = int(np.count_nonzero(entry["keypoints"][2::3]))
        annotations.append(entry)
    for _ in range(rng.integers(0, 6) if rng.random() < 0.9 else rng.integers(90, 130)):
        category, shape = able[rng.integers(len(able))], None
        if annotations and rng.random() < 0.7:
            near = annotations[rng.integers(len(annotations))]
            category = categories[categories.label_of_id[near["category_id"]]]
            box = np.clip(near["bbox"] + rng.integers(-1, 2, 4), 0, SIZE - 1).tolist()
            if kind == "keypoints":
                noise = rng.normal(0, float(rng.choice([0, 1])), len(near["keypoints"]))
                shape = {"keypoints": (near["keypoints"] + noise).tolist()}
        else:
            box = draw_box(rng)
        score = float(rng.choice([0.0, 0.5, 0.5, 1.0, rng.random()]))
        results.append(
            {"category_id": category.id, "score": score, **(shape or shape_of(kind, category, box, rng))}
        )
    return CocoImage.pack("", SIZE, SIZE, annotations, results)


def assert_same(images: Mapping[int, CocoImage], categories: Categories, kind: str) -> Curves:
    ours, theirs = (coco_curves(images, categories, kind, engine) for engine in ("hotcoco", "pycocotools"))
    np.testing.assert_allclose(ours.precision, theirs.precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.recall, theirs.recall, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(ours.thresholds, theirs.thresholds)
    assert (ours.areas, ours.categories) == (theirs.areas, theirs.categories)
    return ours


@pytest.mark.parametrize("kind", KINDS)
def test_random_images(kind: str) -> None:
    scores = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        categories = draw_categories(rng, kind)
        ids = rng.permutation(100)[: rng.integers(0, 40)].tolist()
        images = {image_id: draw_image(rng, kind, categories) for image_id in ids}
        scores.append(assert_same(images, categories, kind).average_precision())
    assert np.nanmin(scores) < 0.2 < np.nanmax(scores)


def one(category: int, score: float = 0.9) -> CocoImage:
    box = [5.0, 5.0, 20.0, 20.0]
    truth = {"category_id": category, "bbox": box, "area": 400.0, "iscrowd": 0}
    return CocoImage.pack("", SIZE, SIZE, [truth], [{"category_id": category, "score": score, "bbox": box}])


def test_ids_below_zero_and_beyond_what_a_float_holds() -> None:
    """The engines see numbers of ours: hotcoco refuses negative ids."""
    categories = Categories((Category(2**60, "cup"), Category(-4, "hat")))
    images = {-3: one(2**60), 2**53: one(-4), 2**53 + 1: one(2**60)}
    assert assert_same(images, categories, "bbox").average_precision() == pytest.approx(1)


def test_of_equal_scores_the_image_with_the_lower_id_comes_first() -> None:
    miss = CocoImage.pack(
        "", SIZE, SIZE, [], [{"category_id": 1, "score": 0.9, "bbox": [30.0, 30.0, 5.0, 5.0]}]
    )
    categories = Categories((Category(1, "cup"),))
    before, after = (assert_same({i: miss, 5: one(1)}, categories, "bbox") for i in (2, 7))
    assert before.average_precision() == pytest.approx(0.5)
    assert after.average_precision() == pytest.approx(1)


@pytest.mark.parametrize(
    ("engine", "module"), [("hotcoco", "hotcoco"), ("pycocotools", "pycocotools.cocoeval")]
)
def test_an_engine_is_its_own_library(engine: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"hotcoco": "pycocotools", "pycocotools": "hotcoco"}[engine]
    evaluator = CocoEvaluator("mine", "bbox", Categories((Category(1, "cup"),)), engine)
    evaluator.merge([{"images": {1: one(1)}}])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError):
        evaluator.compute()
    evaluator.use_engine(other)
    assert evaluator.compute()["AP"] == pytest.approx(1)


def test_an_engine_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_engine("hotcoc")
    assert str(caught.value) == (
        "evaluation engine 'hotcoc': there is none of this name. Did you mean 'hotcoco'? Allowed: hotcoco, "
        "pycocotools."
    )
