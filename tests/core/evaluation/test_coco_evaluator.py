"""Our scores equal those of pycocotools run on the original files of coco-mini; and the odd cases.

Whatever is scored here is scored by both engines, and their curves are equal.
"""

import contextlib
import copy
import io
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtvit_core.errors import DataError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_core.structures.masks import Rle, counts_to_rle, decode_rle, encode_rle, polygons_to_rle

FILES = {"bbox": "instances_val2017", "segm": "instances_val2017", "keypoints": "person_keypoints_val2017"}
HAS = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}


def categories_of(data: dict[str, Any]) -> Categories:
    schemas = {c["id"]: COCO_PERSON for c in data["categories"] if "keypoints" in c}
    return Categories(tuple(Category(c["id"], c["name"], schemas.get(c["id"])) for c in data["categories"]))


def rle_of(entry: dict[str, Any], image: dict[str, Any]) -> Rle:
    found = entry["segmentation"]
    if isinstance(found, dict):
        return counts_to_rle(found["counts"], image["height"], image["width"])
    return polygons_to_rle(found, image["height"], image["width"])


def read(data: dict[str, Any], kind: str) -> tuple[list[Annotations], list[ImageMeta]]:
    """Turn a COCO file into annotations in original pixels, in the precision that the trainer uses."""
    categories = categories_of(data)
    annotations, metas = [], []
    for image in data["images"]:
        rows = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in rows)]
        masks = [decode_rle(rle_of(a, image)) for a in rows] if kind == "segm" else []
        points = [np.reshape(a["keypoints"], (17, 3)) for a in rows] if kind == "keypoints" else []
        size = (len(rows), image["height"], image["width"])
        annotations.append(
            Annotations(
                boxes=torch.tensor(boxes).reshape(-1, 4).float(),
                labels=torch.tensor(
                    [categories.label_of_id[a["category_id"]] for a in rows], dtype=torch.int64
                ),
                masks=torch.from_numpy(np.reshape(masks, size).astype(bool)) if kind == "segm" else None,
                keypoints=torch.tensor(np.array(points)).reshape(-1, 17, 3).float()
                if kind == "keypoints"
                else None,
                is_crowd=torch.tensor([bool(a["iscrowd"]) for a in rows], dtype=torch.bool),
                areas=torch.tensor([a["area"] for a in rows]).float(),
                ids=torch.tensor([a["id"] for a in rows], dtype=torch.int64),
                has=frozenset({HAS[kind]}),
            )
        )
        metas.append(meta(image["id"], image["height"], image["width"]))
    return annotations, metas


def meta(image_id: int, height: int = 100, width: int = 100) -> ImageMeta:
    return ImageMeta(
        height, width, (height, width), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), image_id, f"{image_id}.jpg"
    )


def perturbed(data: dict[str, Any], kind: str, seed: int) -> list[dict[str, Any]]:
    """Shift, drop, double, mislabel and invent results; all numbers in double precision."""
    rng = np.random.default_rng(seed)
    images = {image["id"]: image for image in data["images"]}
    ids = [category["id"] for category in data["categories"]]
    results = []
    for entry in data["annotations"] * 2:
        if rng.random() < 0.25:
            continue
        image = images[entry["image_id"]]
        label = rng.choice(ids) if rng.random() < 0.1 else entry["category_id"]
        result = {"image_id": image["id"], "category_id": int(label), "score": float(rng.random())}
        scale = rng.exponential(0.08)
        x, y, w, h = np.array(entry["bbox"]) * (1 + scale * rng.normal(size=4))
        if kind == "bbox":
            # Results are clipped to their image by construction.
            x0, x1 = np.clip([x, x + max(w, 0.1)], 0, image["width"])
            y0, y1 = np.clip([y, y + max(h, 0.1)], 0, image["height"])
            result["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        if kind == "segm":
            shift = np.round(scale * rng.normal(size=2) * np.array(entry["bbox"][3:1:-1])).astype(int)
            moved = np.roll(decode_rle(rle_of(entry, image)), tuple(shift), (0, 1))
            rle = encode_rle(moved)
            result["segmentation"] = {"size": list(rle.size), "counts": rle.counts}
        if kind == "keypoints":
            points = np.reshape(entry["keypoints"], (17, 3)).astype(float)
            points[points[:, 2] == 0, :2] = [x + w / 2, y + h / 2]
            points[:, :2] += rng.normal(size=(17, 2)) * scale * max(w, h) / 2
            points[:, 2] = rng.random(17)
            result["keypoints"] = points.flatten().tolist()
        results.append(result)
    return results


def as_instances(results: list[dict[str, Any]], meta: ImageMeta, categories: Categories) -> Instances:
    """Turn COCO results of one image into what a model returns, boxes beside masks and keypoints included."""
    rows = [result for result in results if result["image_id"] == meta.image_id]
    boxes = [result.get("bbox", [1.0, 2.0, 3.0, 4.0]) for result in rows]
    rles = [result.get("segmentation") for result in rows]
    points = [np.reshape(result.get("keypoints", [math.nan] * 51), (17, 3)) for result in rows]
    return Instances(
        height=meta.height,
        width=meta.width,
        categories=categories,
        labels=torch.tensor(
            [categories.label_of_id[result["category_id"]] for result in rows], dtype=torch.int64
        ),
        scores=torch.tensor([result["score"] for result in rows]).float(),
        boxes=torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).reshape(-1, 4).float(),
        tasks=("mine",) * len(rows),
        rles=tuple(None if rle is None else Rle(tuple(rle["size"]), rle["counts"]) for rle in rles),
        keypoints=torch.tensor(np.array(points)).reshape(-1, 17, 3).float(),
        image_id=meta.image_id,
        file_name=meta.file_name,
    )


def reference(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> dict[str, float]:
    """Run pycocotools with its defaults on the file's own numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(data)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "", "", "AR"]
    if kind == "keypoints":
        names = ["AP", "AP50", "AP75", "APm", "APl", "AR"]
    return {name: float(value) for name, value in zip(names, evaluation.stats, strict=False) if name}


def hold_to_pycocotools(evaluator: CocoEvaluator) -> None:
    """Both engines give the same curves, scores and details."""
    told = []
    for engine in ("pycocotools", "hotcoco"):
        evaluator.use_engine(engine)
        told.append((evaluator._evaluated(), evaluator.compute(), evaluator.details(0.3)))
    (curves, scores, details), (ours, our_scores, our_details) = told
    np.testing.assert_allclose(ours.precision, curves.precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.recall, curves.recall, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(ours.thresholds, curves.thresholds)
    assert (ours.areas, ours.categories) == (curves.areas, curves.categories)
    assert our_scores == pytest.approx(scores, abs=1e-9, nan_ok=True)
    assert json.dumps(our_details.to_json()) == json.dumps(details.to_json())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_scores_equal_pycocotools_on_the_original_file(
    coco_mini: Path, kind: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((coco_mini / "annotations" / f"{FILES[kind]}.json").read_text())
    assert any(a["iscrowd"] for a in data["annotations"])
    categories = categories_of(data)
    annotations, metas = read(data, kind)
    results = perturbed(data, kind, seed)
    evaluator = CocoEvaluator("mine", kind, categories)
    for start in range(0, len(metas), 16):
        batch = slice(start, start + 16)
        found = [as_instances(results, m, categories) for m in metas[batch]]
        evaluator.update([ImageResult(one) for one in found], annotations[batch], metas[batch])
    hold_to_pycocotools(evaluator)
    expected = reference(data, results, kind)
    assert 0.1 < expected["AP"] < 0.9
    assert evaluator.compute() == pytest.approx(expected, abs=1e-6)
    assert list(evaluator.compute()) == list(expected)
    assert capsys.readouterr().out == ""


CATEGORIES = Categories((Category(3, "cup"), Category(7, "person", COCO_PERSON)))


def truth(
    boxes: list[list[float]], labels: list[int] | None = None, crowd: tuple[int, ...] = (), has: str = "boxes"
) -> Annotations:
    count = len(boxes)
    corners = torch.tensor(boxes).reshape(-1, 4)
    points = torch.zeros(count, 17, 3)
    points[..., 0] = corners[:, :1] + torch.arange(17)
    points[..., 1] = corners[:, 1:2]
    points[..., 2] = 2
    return Annotations(
        boxes=corners,
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        masks=None,
        keypoints=points,
        is_crowd=torch.tensor([i in crowd for i in range(count)], dtype=torch.bool),
        areas=(corners[:, 2:] - corners[:, :2]).prod(1),
        ids=torch.arange(count),
        has=frozenset({has}),
    )


def found(
    boxes: list[list[float]],
    scores: list[float],
    labels: list[int] | None = None,
    keypoints: torch.Tensor | None = None,
    categories: Categories = CATEGORIES,
) -> Instances:
    count = len(boxes)
    return Instances(
        height=100,
        width=100,
        categories=categories,
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        scores=torch.tensor(scores),
        boxes=torch.tensor(boxes).reshape(-1, 4),
        tasks=("mine",) * count,
        rles=(None,) * count,
        keypoints=torch.full((count, 17, 3), math.nan) if keypoints is None else keypoints,
    )


ONE = pytest.approx(1.0)  # COCOeval divides by the number found plus a spacing of 1
BOX, OTHER = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0]


def scored(
    pairs: list[tuple[Instances, Annotations]], kind: str = "bbox", categories: Categories = CATEGORIES
) -> CocoEvaluator:
    evaluator = CocoEvaluator("mine", kind, categories)
    evaluator.update(
        [ImageResult(p[0]) for p in pairs], [p[1] for p in pairs], [meta(i) for i in range(len(pairs))]
    )
    hold_to_pycocotools(evaluator)
    return evaluator


def all_nan(scores: dict[str, float]) -> bool:
    return all(math.isnan(value) for value in scores.values())


def test_perfect_results_score_one_and_annotation_id_0_counts():
    scores = scored([(found([BOX, OTHER], [0.9, 0.8]), truth([BOX, OTHER]))]).compute()
    assert scores["AP"] == scores["AP50"] == scores["AR"] == ONE
    assert math.isnan(scores["APl"])


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_nothing_labelled_is_nan(kind):
    assert all_nan(CocoEvaluator("mine", kind, CATEGORIES).compute())
    assert all_nan(scored([(found([BOX], [0.9]), truth([BOX], has="depth"))], kind).compute())


def test_no_annotated_object_is_nan_and_no_result_is_zero():
    assert all_nan(scored([(found([BOX], [0.9]), truth([]))]).compute())
    nothing = scored([(found([], []), truth([BOX]))]).compute()
    assert nothing["AP"] == nothing["AR"] == 0.0
    assert all_nan(scored([(found([], []), truth([]))]).compute())


def test_unlabelled_images_are_left_out_and_empty_ones_are_not():
    perfect = (found([BOX], [0.5]), truth([BOX]))
    false_alarm = found([BOX], [0.9])
    unlabelled = scored([perfect, (false_alarm, truth([], has="keypoints"))])
    empty = scored([perfect, (false_alarm, truth([]))])
    assert unlabelled.compute()["AP"] == ONE
    assert empty.compute()["AP"] == pytest.approx(0.5)


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
def test_as_many_results_count_as_a_task_has_or_a_setting_says(engine: str) -> None:
    boxes = [[8.0 * i, 8.0 * j, 8.0 * i + 6, 8.0 * j + 6] for i in range(12) for j in range(12)]
    perfect = found(boxes, [0.9] * 144)
    aps = []
    for results, limit in ((100, 0), (144, 0), (144, 72)):
        evaluator = CocoEvaluator("mine", "bbox", CATEGORIES, engine, results)
        if limit:
            evaluator.use_limit(limit)
        evaluator.update([ImageResult(perfect)], [truth(boxes)], [meta(1)])
        aps.append(evaluator.compute()["AR"])
    assert aps == pytest.approx([100 / 144, 1, 0.5])


def test_objects_of_a_category_that_is_not_fully_annotated_in_an_image_do_not_count() -> None:
    annotated = replace(truth([BOX, OTHER], [0, 1]), annotated=torch.tensor([True, False, True]))
    assert scored([(found([BOX], [0.9]), annotated)]).compute()["AR"] == ONE


def test_results_of_a_category_that_is_not_annotated_in_an_image_do_not_count():
    perfect = found([BOX], [0.9], [1]), truth([BOX], [1])
    stray = found([OTHER], [0.95], [1]), truth([], [])
    assert scored([perfect, stray]).compute()["AP"] == pytest.approx(0.5, abs=0.01)
    unknown = replace(stray[1], annotated=torch.tensor([True, False, True]))
    assert scored([perfect, (stray[0], unknown)]).compute()["AP"] == pytest.approx(1)


def test_only_crowds_is_nan_and_results_in_a_crowd_are_no_false_alarms():
    assert all_nan(scored([(found([BOX], [0.9]), truth([BOX], crowd=(0,)))]).compute())
    inside = [12.0, 12.0, 20.0, 20.0]
    crowded = truth([BOX, OTHER], crowd=(0,))
    assert scored([(found([inside, OTHER], [0.9, 0.5]), crowded)]).compute()["AP"] == ONE


@pytest.mark.parametrize(("kind", "most"), [("bbox", 100), ("segm", 100), ("keypoints", 20)])
def test_only_the_best_results_of_an_image_and_class_count(kind, most):
    right = torch.zeros(1, 100, 100, dtype=torch.bool)
    right[0, 10:50, 10:50] = True
    annotated = replace(truth([BOX], [1], has=HAS[kind]), masks=right)
    for misses, expected in ((most - 1, ONE), (most, 0.0)):
        points = torch.cat([torch.zeros(misses, 17, 3), annotated.keypoints])
        result = found([OTHER] * misses + [BOX], [0.9] * misses + [0.1], [1] * (misses + 1), points)
        miss, hit = encode_rle(~right[0].numpy()), encode_rle(right[0].numpy())
        result = replace(result, rles=(miss,) * misses + (hit,))
        assert scored([(result, annotated)], kind).compute()["AR"] == expected


def test_boxes_without_area_are_scored_not_crashed_on():
    flat = [20.0, 20.0, 20.0, 40.0]
    scores = scored([(found([flat, BOX], [0.9, 0.8]), truth([flat, BOX]))]).compute()
    assert scores["AP50"] == pytest.approx(0.252475, abs=1e-6)  # the sure one is wrong, the other right


def test_results_of_other_tasks_do_not_count():
    result = found([OTHER, BOX], [0.9, 0.5])
    assert scored([(replace(result, tasks=("another", "mine")), truth([BOX]))]).compute()["AP"] == ONE


def test_the_size_of_a_mask_is_its_own_not_its_boxs():
    mask = torch.zeros(1, 100, 100, dtype=torch.bool)
    mask[0, 10:20, 10:20] = True
    annotated = replace(truth([[10.0, 10.0, 20.0, 20.0]], has="masks"), masks=mask)
    stray = encode_rle(np.eye(100, dtype=bool))
    result = found([[10.0, 10.0, 20.0, 20.0], [0.0, 0.0, 100.0, 100.0]], [0.5, 0.9])
    result = replace(result, rles=(encode_rle(mask[0].numpy()), stray))
    # The stray mask is small (100 pixels) though its box is large: a false alarm among the small ones.
    assert scored([(result, annotated)], "segm").compute()["APs"] == pytest.approx(0.5)


def test_scores_per_class():
    annotated = truth([BOX, OTHER, OTHER], [0, 1, 1], crowd=(2,))
    cup, person = scored([(found([BOX], [0.9]), annotated)]).per_class()
    assert (cup.category.name, cup.instances, cup.ap, cup.ap50, cup.ar) == ("cup", 1, ONE, ONE, ONE)
    assert (person.category.id, person.instances, person.ap, person.ar) == (7, 1, 0.0, 0.0)
    nothing = scored([(found([], []), truth([]))]).per_class()
    assert [s.instances for s in nothing] == [0, 0]
    assert math.isnan(nothing[0].ap)


HAND = KeypointSchema(names=("thumb", "palm"), sigmas=(0.05, 0.2))
TWO_SCHEMAS = Categories((Category(9, "person", COCO_PERSON), Category(2, "hand", HAND), Category(4, "cup")))


def test_each_keypoint_category_is_scored_with_its_own_sigmas():
    annotated = truth([BOX, BOX, BOX], [0, 1, 2], has="keypoints")
    points = annotated.keypoints.clone()
    points[1, 0, 0] += 4.0
    result = found([BOX] * 3, [0.9, 0.8, 0.7], [0, 1, 2], points, TWO_SCHEMAS)
    hand, person = scored([(result, annotated)], "keypoints", TWO_SCHEMAS).per_class()
    # d = 4, area = 1600: right at the seven thresholds from 0.50 to 0.80.
    oks = (math.exp(-16 / (2 * 1600 * 0.1**2)) + 1) / 2
    assert 0.80 < oks < 0.85
    assert (hand.category.name, hand.ap) == ("hand", pytest.approx(0.7))
    assert (person.category.name, person.ap) == ("person", ONE)


def test_people_without_labelled_keypoints_are_no_misses():
    annotated = truth([BOX, OTHER], [1, 1], has="keypoints")
    annotated.keypoints[1, :, 2] = 0
    evaluator = scored([(found([BOX], [0.9], [1], annotated.keypoints[:1]), annotated)], "keypoints")
    assert evaluator.compute()["AR"] == 1.0
    assert evaluator.per_class()[0].instances == 1


def ranks() -> tuple[list[CocoEvaluator], CocoEvaluator]:
    """Two ranks that share image 1, as a distributed sampler pads; and one that saw everything."""
    pairs = [
        (found([BOX, OTHER], [0.9, 0.3]), truth([BOX])),
        (found([OTHER], [0.8]), truth([BOX])),
        (found([BOX], [0.7]), truth([BOX])),
    ]
    parts = []
    for images in ([0, 1], [2, 1]):
        part = CocoEvaluator("mine", "bbox", CATEGORIES)
        for i in images:
            part.update([ImageResult(pairs[i][0])], [pairs[i][1]], [meta(i)])
        parts.append(part)
    return parts, scored(pairs)


def test_ranks_merge_to_what_one_process_scores():
    parts, whole = ranks()
    states = [pickle.loads(pickle.dumps(part.state())) for part in parts]
    merged = CocoEvaluator("mine", "bbox", CATEGORIES)
    merged.merge(states)
    assert merged.compute() == pytest.approx(whole.compute(), nan_ok=True)
    assert parts[0].compute()["AP"] != whole.compute()["AP"]
    parts[0].merge(states)
    assert parts[0].compute() == pytest.approx(whole.compute(), nan_ok=True)
    parts[0].merge(states[1:])
    assert parts[0].compute() == pytest.approx(parts[1].compute(), nan_ok=True)


def test_the_state_holds_no_masks_at_full_size():
    mask = torch.ones(1, 100, 100, dtype=torch.bool)
    annotated = replace(truth([BOX], has="masks"), masks=mask)
    evaluator = scored(
        [(replace(found([BOX], [0.9]), rles=(encode_rle(mask[0].numpy()),)), annotated)], "segm"
    )
    assert len(pickle.dumps(evaluator.state())) < 1000


def test_scores_follow_images_added_after_a_first_look():
    evaluator = scored([(found([BOX], [0.5]), truth([BOX]))])
    assert evaluator.compute()["AR"] == 1.0
    evaluator.update([ImageResult(found([], []))], [truth([BOX])], [meta(5)])
    assert evaluator.compute()["AR"] == 0.5


def message(raising: Any) -> str:
    with pytest.raises(DataError) as error:
        raising()
    return str(error.value)


def test_keypoints_without_sigmas_are_refused():
    categories = Categories((Category(2, "hand", replace(HAND, sigmas=())),))
    assert message(lambda: CocoEvaluator("pose", "keypoints", categories)) == (
        "evaluation of pose: the keypoints of category 'hand' have no sigmas, so their similarity (OKS) is "
        "undefined; give 2 sigmas, one per keypoint."
    )


def test_keypoints_of_categories_without_any_are_refused():
    assert message(lambda: CocoEvaluator("pose", "keypoints", Categories((Category(1, "cup"),)))) == (
        "evaluation of pose: none of the 1 categories has keypoints; give the category a keypoint schema "
        "(`keypoints` and `skeleton` in the annotation file), or leave the task out."
    )


def test_results_of_another_data_sets_categories_are_refused():
    other = Categories((Category(91, "hat"),))
    assert message(lambda: scored([(found([BOX], [0.9], categories=other), truth([BOX]))])) == (
        "evaluation of mine, image 0 '0.jpg': a result is of category id 91, which the annotations do not "
        "have; evaluate a model on the categories it was trained for."
    )


def test_results_of_another_keypoint_schema_are_refused():
    other = Categories((Category(7, "person", HAND),))
    result = found([BOX], [0.9], keypoints=torch.zeros(1, 2, 3), categories=other)
    assert message(lambda: scored([(result, truth([BOX], [1], has="keypoints"))], "keypoints")) == (
        "evaluation of mine, image 0 '0.jpg': a result of category 'person' has 2 keypoints, the annotations "
        "have 17; evaluate a model on the schema it was trained for."
    )


def test_scores_that_are_not_finite_are_refused():
    assert message(lambda: scored([(found([BOX], [math.nan]), truth([BOX]))])) == (
        "evaluation of mine, image 0 '0.jpg': a result has a score that is not finite; the model has "
        "diverged."
    )


def test_two_images_may_not_share_an_id():
    evaluator = scored([(found([BOX], [0.5]), truth([BOX]))])
    again = replace(meta(0), file_name="other.jpg")
    assert message(lambda: evaluator.update([ImageResult(found([BOX], [0.5]))], [truth([BOX])], [again])) == (
        "evaluation of mine: image id 0 is used for both '0.jpg' and 'other.jpg'; ids must be unique."
    )
