"""Scores in COCO's measures of the odd cases, by hand.

Whatever is scored here is scored by both engines, and their curves are equal.
"""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_core.structures.masks import encode_rle
from support.tasks.coco_scores import BOX, CATEGORIES, HAND, HAS, OTHER, found, meta, scored, truth

ONE = pytest.approx(1.0)  # COCOeval divides by the number found plus a spacing of 1


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
