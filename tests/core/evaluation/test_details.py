"""Details of an evaluation: pairs, confusions, keypoint errors by hand and by COCOeval; what JSON keeps."""

import json
import math

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtvit_core.errors import PluginError
from mtvit_core.evaluation.coco_details import (
    keypoint_tables,
    mistakes,
    paired_classes,
    precision_charts,
    worst_first,
)
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.evaluation.coco_image import CocoImage
from mtvit_core.evaluation.coco_pairs import pair_up, similarity
from mtvit_core.evaluation.details import Chart, Details, Line, Matrix, Mistakes, Table
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_core.tasks.contract import own_details

CLASSES = Categories((Category(1, "cat"), Category(2, "dog"), Category(7, "cow")))


def thing(category: int, box: list[float], crowd: int = 0) -> dict:
    return {"category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}


def found(category: int, box: list[float], score: float = 0.9) -> dict:
    return {"category_id": category, "bbox": box, "score": score}


def evaluator(objects: list[dict], results: list[dict], categories: Categories = CLASSES, kind: str = "bbox"):
    """An evaluator that has seen one image, number 5, of 100 x 100 pixels."""
    image = CocoImage.pack("5.jpg", 100, 100, objects, results)
    made = CocoEvaluator("det", kind, categories)
    made.merge([{"images": {5: image}}])
    return made


# Pairs


def test_a_result_takes_an_object_of_its_own_class_before_a_nearer_one() -> None:
    cat, dog = thing(1, [0, 0, 10, 10]), thing(2, [1, 0, 10, 10])
    pairs = pair_up([cat, dog], [found(2, [0, 0, 10, 10])], CLASSES, "bbox", 0.3)
    assert [truth["category_id"] for truth, _ in pairs.pairs] == [2]
    assert pairs.missed == (cat,)


def test_better_scores_choose_first_and_repeats_are_false() -> None:
    cat = thing(1, [0, 0, 10, 10])
    worse, better = found(1, [0, 0, 10, 10], 0.5), found(1, [2, 0, 10, 10], 0.8)
    pairs = pair_up([cat], [worse, better], CLASSES, "bbox", 0.3)
    assert pairs.pairs == ((cat, better),)
    assert pairs.false == (worse,)


def test_low_scores_and_small_overlaps_do_not_count() -> None:
    cat = thing(1, [0, 0, 10, 10])
    pairs = pair_up([cat], [found(1, [0, 0, 10, 10], 0.2), found(1, [6, 0, 10, 10])], CLASSES, "bbox", 0.3)
    assert (len(pairs.pairs), len(pairs.missed), len(pairs.false)) == (0, 1, 1)


def test_crowds_are_not_missed_and_results_in_them_not_false() -> None:
    crowd = thing(1, [0, 0, 50, 50], crowd=1)
    pairs = pair_up([crowd], [found(1, [5, 5, 9, 9]), found(2, [80, 80, 9, 9])], CLASSES, "bbox", 0.3)
    assert (pairs.pairs, pairs.missed, len(pairs.false)) == ((), (), 1)


def people(count: int, seed: int) -> tuple[list[dict], list[dict]]:
    """Random people, the last without a labelled keypoint, and random results near them."""
    rng = np.random.default_rng(seed)
    objects, results = [], []
    for n in range(count):
        points = np.column_stack([rng.uniform(10, 90, (17, 2)), rng.integers(0, 3, 17)])
        points[:, 2] *= n < count - 1
        box = [20.0, 20.0, 30.0, 40.0]
        entry = {**thing(1, box), "area": 900.0, "keypoints": points.ravel().tolist()}
        objects.append({**entry, "num_keypoints": int((points[:, 2] > 0).sum())})
        points[:, :2] += rng.normal(0, 3, (17, 2))
        results.append({"category_id": 1, "score": 0.9 - n / 10, "keypoints": points.ravel().tolist()})
    return objects, results


def test_oks_is_that_of_cocoeval() -> None:
    objects, results = people(4, seed=1)
    categories = Categories((Category(1, "person", COCO_PERSON),))
    truth, answers = COCO(), COCO()
    truth.dataset = {
        "images": [{"id": 5, "height": 100, "width": 100}],
        "annotations": [{**entry, "id": n + 1, "image_id": 5} for n, entry in enumerate(objects)],
        "categories": [{"id": 1, "name": "person"}],
    }
    truth.createIndex()
    answers = truth.loadRes([{**entry, "image_id": 5} for entry in results])
    reference = COCOeval(truth, answers, "keypoints")
    reference._prepare()
    np.testing.assert_allclose(
        similarity(objects, results, categories, "keypoints").T, reference.computeOks(5, 1), atol=1e-12
    )


# What is made of them


def test_confusions_by_hand() -> None:
    objects = [thing(1, [0, 0, 10, 10]), thing(1, [20, 0, 10, 10]), thing(2, [40, 0, 10, 10])]
    results = [found(1, [0, 0, 10, 10]), found(2, [20, 0, 10, 10]), found(2, [80, 80, 10, 10])]
    details = evaluator(objects, results).details(0.3)
    (matrix,) = details.matrices
    assert matrix.rows == matrix.columns == ("cat", "dog", "background")  # no cow anywhere
    assert matrix.counts == ((1, 1, 0), (0, 0, 1), (0, 1, 0))
    assert details.mistakes == (Mistakes(5, missed=1, false=1, confused=1),)
    assert details.mistakes[0].total == 3


def test_classes_and_curves_by_hand() -> None:
    objects = [thing(1, [0, 0, 10, 10]), thing(1, [20, 0, 10, 10]), thing(2, [40, 0, 10, 10])]
    results = [found(1, [0, 0, 10, 10], 0.9), found(1, [80, 80, 10, 10], 0.8), found(1, [20, 0, 10, 10], 0.7)]
    details = evaluator(objects, results).details(0.3)
    (table,) = details.tables
    assert table.columns == ("class", "instances", "AP", "AP50", "AR")
    assert [row[:2] for row in table.rows] == [("cat", 2), ("dog", 1), ("cow", 0)]
    # Recall up to a half at precision 1, then at 2/3: 51 and 50 of 101 places.
    assert table.rows[0][3] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert math.isnan(table.rows[2][2])
    mean, single = details.charts
    assert [line.name for line in mean.lines] == ["IoU 0.50", "IoU 0.75", "mean 0.50 to 0.95"]
    assert [line.name for line in single.lines] == ["cat", "dog"]
    assert single.lines[0].y[25] == pytest.approx(1)
    assert single.lines[0].y[75] == pytest.approx(2 / 3)
    assert mean.lines[0].y[75] == pytest.approx(1 / 3)
    assert mean.lines[0].x[75] == pytest.approx(0.75)


def test_errors_of_keypoints_by_hand() -> None:
    schema = KeypointSchema(("head", "left foot", "right foot"), sigmas=(0.05, 0.1, 0.1))
    categories = Categories((Category(1, "person", schema),))
    truth = {**thing(1, [0, 0, 10, 10]), "area": 400.0, "num_keypoints": 2}
    truth["keypoints"] = [10.0, 10.0, 2, 30.0, 40.0, 1, 0.0, 0.0, 0]
    result = {"category_id": 1, "score": 0.9, "keypoints": [11.0, 10.0, 0.9, 30.0, 44.0, 0.9, 5.0, 5.0, 0.9]}
    details = evaluator([truth], [result], categories, "keypoints").details(0.3)
    rows = details.tables[1].rows
    # s = 20: the head is 1 pixel off, s k = 2; the foot 4 pixels, s k = 4; the other is not labelled.
    assert rows[0] == ("head", 1, pytest.approx(0.5), 1.0, 0.0, 0.0)  # exp(-1/8) = 0.88
    assert rows[1] == ("left foot", 1, pytest.approx(1.0), 0.0, 1.0, 0.0)  # exp(-1/2) = 0.61
    assert rows[2][:2] == ("right foot", 0)
    assert all(math.isnan(value) for value in rows[2][2:])
    assert details.matrices[0].counts == ((1, 0), (0, 0))


def test_nothing_labelled_gives_empty_details() -> None:
    details = evaluator([], []).details(0.3)
    assert [row[1] for row in details.tables[0].rows] == [0, 0, 0]
    assert details.matrices[0].counts == ((0,),)
    assert details.mistakes == ()
    assert len(details.charts) == 1


def test_mistakes_come_worst_first() -> None:
    cat = thing(1, [0, 0, 10, 10])
    images = {3: [], 4: [found(1, [0, 0, 10, 10])], 9: [found(1, [50, 50, 9, 9])], 1: []}
    made = [
        mistakes(number, paired_classes(pair_up([cat], results, CLASSES, "bbox", 0.3)))
        for number, results in images.items()
    ]
    assert [(m.image_id, m.total) for m in worst_first(made)] == [(9, 2), (1, 1), (3, 1)]


def test_only_the_most_frequent_classes_have_lines() -> None:
    many = Categories(tuple(Category(n, f"class {n}") for n in range(1, 13)))
    objects = [thing(n, [n, k, 10, 10]) for n in range(1, 13) for k in range(n)]
    made = evaluator(objects, [], many)
    charts = precision_charts(made._evaluated(), made.per_class(), "bbox")
    assert [line.name for line in charts[1].lines] == [f"class {n}" for n in range(12, 4, -1)]
    assert charts[1].note == "The 8 classes with the most instances."


def test_tables_of_keypoints_are_for_categories_that_have_some() -> None:
    categories = Categories((Category(1, "person", COCO_PERSON), Category(2, "ball")))
    assert [table.title for table in keypoint_tables({}, categories)] == ["Keypoint errors of person"]


# Records


def test_json_keeps_all_but_nan_in_tables() -> None:
    details = Details(
        (Table("t", ("class", "AP"), (("cat", 0.5), ("dog", None))),),
        (Chart("c", "recall", "precision", (Line("all", (0.0, 1.0), (1.0, math.nan)),)),),
        (Matrix("m", "truth", "found", ("a",), ("a", "b"), ((1, 2),)),),
        (Mistakes(3, 1, 2),),
    )
    text = json.dumps(details.to_json()).replace("NaN", "null")
    again = Details.from_json(json.loads(text))
    assert math.isnan(again.charts[0].lines[0].y[1])
    assert (again.tables, again.matrices, again.mistakes) == (
        details.tables,
        details.matrices,
        details.mistakes,
    )
    assert again.charts[0].lines[0].x == (0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Table("t", ("class", "AP"), (("cat",),)),
            "details: row 0 of table 't' has 1 cells for 2 columns; give one cell per column.",
        ),
        (
            lambda: Line("all", (0.0, 1.0), (1.0,)),
            "details: line 'all' has 2 places and 1 values; give one value per place.",
        ),
        (
            lambda: Matrix("m", "truth", "found", ("a",), ("a", "b"), ((1,),)),
            "details: matrix 'm' has 1 x 2 names, but its 1 rows hold [1] counts; give one count per pair.",
        ),
        (
            lambda: own_details("det", {"tables": []}),
            "task 'det': its evaluator's details are {'tables': []}, not mtvit_core.Details; "
            "return such an object.",
        ),
    ],
)
def test_what_is_refused(make, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        make()
    assert str(caught.value) == message


def test_scores_are_of_python(tmp_path) -> None:
    details = evaluator([thing(1, [0, 0, 10, 10])], [found(1, [0, 0, 10, 10])]).details(0.3)
    json.dumps(details.to_json())
    assert not any(isinstance(cell, torch.Tensor) for row in details.tables[0].rows for cell in row)
