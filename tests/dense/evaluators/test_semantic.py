"""mIoU and pixel accuracy: by hand, and against sets of pixels on random and adversarial maps."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.pixel_maps import CategoryMap
from mtvit_dense.evaluators.semantic import SemanticMapEvaluator
from support.tasks.dense_scores import scored

CLASSES = Categories(tuple(Category(n, name) for n, name in enumerate(("sky", "road", "car", "tree"))))


def semantic(values: Tensor) -> CategoryMap:
    return CategoryMap.semantic(values, CLASSES)


def by_sets(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Intersections and unions of sets of pixels, in exact fractions."""
    true: dict[int, set[tuple[int, int]]] = {c: set() for c in range(4)}
    said: dict[int, set[tuple[int, int]]] = {c: set() for c in range(4)}
    for image, (found, label) in enumerate(pairs):
        for place, (f, t) in enumerate(zip(found.flatten().tolist(), label.flatten().tolist(), strict=True)):
            if math.isfinite(t):
                true[int(t)].add((image, place))
                said[f].add((image, place))
    total = sum(map(len, true.values()))
    if not total:
        return {"mIoU": math.nan, "pixel_accuracy": math.nan}
    each = [Fraction(len(true[c] & said[c]), len(true[c] | said[c])) for c in true if true[c]]
    right = sum(len(true[c] & said[c]) for c in true)
    return {"mIoU": float(sum(each) / len(each)), "pixel_accuracy": right / total}


def test_by_hand() -> None:
    label = torch.tensor([[0.0, 0.0, 1.0, torch.nan]])
    found = torch.tensor([[0, 2, 1, 3]])
    metrics = scored(SemanticMapEvaluator("semantic", CLASSES), "semantic", [(semantic(found), label)])
    assert metrics == pytest.approx({"mIoU": 0.75, "pixel_accuracy": 2 / 3}, abs=1e-12)


@pytest.mark.parametrize("case", ["random", "no pixel", "one class", "all wrong"])
def test_as_sets_of_pixels_say(case: str) -> None:
    random = torch.Generator().manual_seed(5)
    pairs = []
    for _ in range(3):
        label = torch.randint(0, 4, (6, 7), generator=random).float()
        found = torch.randint(0, 4, (6, 7), generator=random)
        label[torch.rand(6, 7, generator=random) < 0.2] = torch.nan
        if case == "no pixel":
            label.fill_(torch.nan)
        elif case == "one class":
            label[label.isfinite()] = 2
        elif case == "all wrong":
            found = (label.nan_to_num() + 1).long() % 4
        pairs.append((found, label))
    evaluator = SemanticMapEvaluator("semantic", CLASSES)
    metrics = scored(evaluator, "semantic", [(semantic(f), t) for f, t in pairs])
    assert metrics == pytest.approx(by_sets(pairs), abs=1e-9, nan_ok=True)
    assert evaluator.details(0.3).matrices[0].title == "Confusion of pixels"


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(DataError, match="labels run from 4 to 4, but the model knows 4 classes"):
        scored(
            SemanticMapEvaluator("semantic", CLASSES),
            "semantic",
            [(semantic(torch.zeros(1, 1, dtype=torch.int64)), torch.tensor([[4.0]]))],
        )
