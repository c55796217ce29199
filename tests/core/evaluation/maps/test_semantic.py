"""Mean IoU and pixel accuracy: counted again pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from mtvit_core.evaluation.maps.semantic import SemanticEvaluator
from mtvit_core.structures.annotations import NO_SEGMENT, TrueSegments
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import VOID, CategoryMap
from support.models.segment_cases import CATEGORIES, annotate, random_case, result, true_map


def semantic(found: CategoryMap) -> CategoryMap:
    return CategoryMap(found.category_ids, found.categories)


def scored(*images: tuple[TrueSegments | None, CategoryMap | None]) -> SemanticEvaluator:
    evaluator = SemanticEvaluator("seg-semantic", CATEGORIES)
    for number, (truth, found) in enumerate(images, start=1):
        meta = ImageMeta.whole(24, 30, number, f"{number}.png")
        evaluator.update([result(found, number, "seg-semantic")], [annotate(truth)], [meta])
    return evaluator


def test_the_numbers_are_those_of_counting_pixels() -> None:
    cases = [random_case(seed) for seed in range(12)]
    both = np.zeros(4)
    either = np.zeros(4)
    right = total = 0
    for truth, found in cases:
        labelled = truth.ids > 0
        true = np.full(truth.ids.shape, -1)
        true[labelled.numpy()] = truth.labels[truth.ids[labelled] - 1]
        said = np.vectorize(lambda id_: -2 if id_ == VOID else CATEGORIES.label_of_id[id_])(
            found.category_ids
        )
        for label in range(4):
            there = labelled.numpy() & (true == label)
            called = labelled.numpy() & (said == label)
            both[label] += (there & called).sum()
            either[label] += (there | called).sum()
        right += int((true == said).sum())
        total += int(labelled.sum())
    assert (either > 0).all()
    evaluator = scored(*((truth, semantic(found)) for truth, found in cases))
    assert evaluator.compute() == pytest.approx(
        {"mIoU": (both / either).mean(), "pixel_accuracy": right / total}
    )
    (table,), (matrix,) = evaluator.details(0.3).tables, evaluator.details(0.3).matrices
    assert [row[2] for row in table.rows] == pytest.approx((both / either).tolist())
    assert sum(map(sum, matrix.counts)) == total
    assert sum(row[1] for row in table.rows) == total


def test_means_are_over_classes_in_the_truth() -> None:
    truth = true_map(torch.tensor([[1, 1, 2, 2, NO_SEGMENT, 0]]), [0, 1])
    found = CategoryMap.semantic(torch.tensor([[0, 3, 1, 1, 2, 2]]), CATEGORIES)
    # cat 1 of 2 pixels, dog 2 of 2; grass is no class of the truth, the last two pixels count nowhere
    assert scored((truth, found)).compute() == {"mIoU": 0.75, "pixel_accuracy": 0.75}


def test_pixels_without_a_found_class_are_wrong() -> None:
    truth = true_map(torch.tensor([[1, 1]]), [0])
    found = CategoryMap.semantic(torch.tensor([[0, VOID]]), CATEGORIES)
    assert scored((truth, found)).compute() == {"mIoU": 0.5, "pixel_accuracy": 0.5}
    whole = true_map(torch.ones(4, 4, dtype=torch.int64), [0])
    assert scored((whole, None)).compute() == {"mIoU": 0.0, "pixel_accuracy": 0.0}


def test_crowds_count_as_their_class() -> None:
    truth = true_map(torch.tensor([[1, 2]]), [0, 0], [False, True])
    found = CategoryMap.semantic(torch.tensor([[0, 1]]), CATEGORIES)
    assert scored((truth, found)).compute()["pixel_accuracy"] == 0.5


def test_nothing_labelled_is_not_a_number() -> None:
    scores = scored((None, semantic(random_case(0)[1]))).compute()
    assert all(math.isnan(value) for value in scores.values())
