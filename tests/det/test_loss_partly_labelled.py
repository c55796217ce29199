"""A category that nobody annotated in an image is not background there."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from support.tasks.det_cases import (
    CATEGORIES,
    annotate,
    losses_of,
    match_of,
    predictions,
    random_annotations,
    targets_of,
    task,
)

CLASSES = len(CATEGORIES)
UNKNOWN = 2


def partly() -> list[Annotations]:
    """Two images; in the first, objects of one category may be there unseen."""
    first = annotate([[5, 5, 40, 40], [50, 10, 90, 60]], [0, 1])
    known = torch.tensor([label != UNKNOWN for label in range(CLASSES)])
    return [replace(first, annotated=known), *random_annotations((3,))]


def gradients(images: list[Annotations]) -> tuple[Tensor, Tensor]:
    """Of the class logits of queries and of proposals."""
    torch.manual_seed(1)
    found = predictions(2, 6, CLASSES, patches=12)
    assert found.pick is not None
    total = torch.stack(list(losses_of(task(), found, targets_of(images)).values())).sum()
    queries, patches = torch.autograd.grad(total, (found.logits, found.pick.logits))
    return queries, patches


def test_its_scores_get_no_gradient_there_and_all_others_the_same() -> None:
    images = partly()
    open_, closed = gradients(images), gradients([replace(images[0], annotated=None), images[1]])
    for ours, theirs, image in zip(open_, closed, (1, 0), strict=True):
        found, full = ours.movedim(image, 0), theirs.movedim(image, 0)
        assert bool((full[0, ..., UNKNOWN] != 0).any())
        assert bool((found[0, ..., UNKNOWN] == 0).all())
        others = [label for label in range(CLASSES) if label != UNKNOWN]
        assert torch.equal(found[0][..., others], full[0][..., others])
        assert torch.equal(found[1], full[1])


def test_queries_of_yolos_may_say_it_where_they_have_no_object() -> None:
    images = partly()
    found, one = predictions(2, 6, CLASSES + 1), task(variant="yolos")
    targets = targets_of(images)
    free = torch.ones(6, dtype=torch.bool)
    free[match_of(one, found, targets).query[0, 0, :2]] = False
    (gradient,) = torch.autograd.grad(losses_of(one, found, targets)["class"], found.logits)
    # A rising score of what may be there never makes the loss rise.
    assert bool((gradient[0, 0, free, UNKNOWN] < 0).all())
    assert bool((gradient[0, 0, ~free, UNKNOWN] > 0).all())
    assert bool((gradient[0, 0, free, 3] > 0).all())


@pytest.mark.parametrize("variant", ["picked", "yolos"])
def test_where_all_are_annotated_the_losses_are_the_same_bits(variant: str) -> None:
    images = random_annotations((2, 3))
    said = [replace(image, annotated=torch.ones(CLASSES, dtype=torch.bool)) for image in images]
    found = predictions(2, 6, CLASSES + (variant == "yolos"), patches=12 * (variant == "picked"))
    one = task(variant=variant)
    plain, told = (losses_of(one, found, targets_of(each)) for each in (images, said))
    assert plain.keys() == told.keys()
    assert all(torch.equal(plain[name], told[name]) for name in plain)


def test_columns_of_yolos_that_are_no_category_count_as_annotated() -> None:
    categories = Categories((Category(1, "person"), Category(3, "car")))
    known = replace(annotate([[5, 5, 40, 40]], [0]), annotated=torch.tensor([True, False]))
    targets = task(categories, variant="yolos", id_columns=5).targets([known], (64, 96), torch.device("cpu"))
    assert targets.annotated.tolist() == [[True, True, True, False, True]]
