"""Metrics of image labels equal hand counts and an independent derivation, in odd cases too."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mtvit_cls.evaluator import Answers, ClassificationEvaluator, accuracy, average_precision
from mtvit_core.structures.categories import Categories, Category


def area_by_thresholds(scores: Sequence[float], shown: Sequence[bool]) -> float:
    """AP from its definition, threshold by threshold."""
    area = recall = 0.0
    for t in sorted(set(scores), reverse=True):
        kept = [s for score, s in zip(scores, shown, strict=True) if score >= t]
        area += (sum(kept) / sum(shown) - recall) * sum(kept) / len(kept)
        recall = sum(kept) / sum(shown)
    return area


@pytest.mark.parametrize("levels", [2, 5, 1000])  # few levels: many equal scores
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_the_area_of_its_definition(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, 60) / levels).astype(np.float32)
    shown = rng.random(60) < 0.3
    expected = area_by_thresholds(scores.tolist(), shown.tolist())
    assert average_precision(scores, shown) == pytest.approx(expected, abs=1e-9)
    order = rng.permutation(60)
    assert average_precision(scores[order], shown[order]) == pytest.approx(expected, abs=1e-9)


def test_one_score_for_all_images_earns_the_share_that_shows_the_class() -> None:
    assert average_precision(np.full(8, 0.5, np.float32), np.arange(8) < 2) == pytest.approx(0.25, abs=1e-9)


def test_a_class_that_no_image_shows_has_no_precision() -> None:
    assert math.isnan(average_precision(np.ones(3, np.float32), np.zeros(3, bool)))


def test_top_k_by_hand() -> None:
    scores = np.array([[5, 4, 3, 2], [1, 2, 3, 4], [0, 9, 8, 0]], np.float32)
    shown = np.eye(4, dtype=bool)[[0, 2, 3]]
    answers = Answers(scores, shown, np.ones((3, 4), bool))
    assert [accuracy(answers, k) for k in (1, 2, 3, 4)] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])


def test_an_unknown_class_takes_no_place_from_a_known_one() -> None:
    scores, shown = np.array([[0.9, 0.1]], np.float32), np.array([[False, True]])
    assert accuracy(Answers(scores, shown, np.array([[True, True]])), 1) == 0
    assert accuracy(Answers(scores, shown, np.array([[False, True]])), 1) == 1


def test_without_images_every_metric_is_nan() -> None:
    classes = Categories(tuple(Category(i, str(i)) for i in range(1, 9)))
    found = ClassificationEvaluator("cls", classes, single=True).compute()
    assert found.keys() == {"top1", "top5", "mAP"}
    assert all(math.isnan(value) for value in found.values())


def test_confusions_and_mistakes_are_told() -> None:
    classes = Categories((Category(1, "cat"), Category(2, "dog")))
    evaluator = ClassificationEvaluator("cls", classes, single=True)
    known, cat = np.ones(2, bool), np.array([True, False])
    for id_, scores in {7: [0.8, 0.2], 9: [0.4, 0.6]}.items():
        evaluator.images[id_] = np.array(scores, np.float32), cat, known
    details = evaluator.details(0.3)
    assert details.matrices[0].counts == ((1, 1), (0, 0))
    assert [mistake.image_id for mistake in details.mistakes] == [9]


def test_of_many_classes_those_with_mistakes_are_shown() -> None:
    from mtvit_cls.confusion import SHOWN, confusion_matrix

    true = np.arange(100)
    said = true.copy()
    said[[70, 80]] = 3
    matrix = confusion_matrix(true, said, [str(i) for i in range(100)])
    assert len(matrix.rows) == SHOWN + 1
    assert {"3", "70", "80"} <= set(matrix.rows)
    row, column = matrix.rows.index("70"), matrix.columns.index("3")
    assert matrix.counts[row][column] == 1
    assert sum(map(sum, matrix.counts)) == 100
