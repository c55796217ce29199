"""What evaluation in COCO's measures refuses, in one line each."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from mtvit_core.errors import DataError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories, Category
from support.tasks.coco_scores import BOX, HAND, found, meta, scored, truth


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
