"""A category that nobody annotated in an image is not background there."""

from dataclasses import replace

import torch

from mtvit_core.structures.annotations import Annotations
from support.tasks.seg_cases import (
    CATEGORIES,
    annotate,
    blobs,
    learned,
    losses_of,
    picked,
    random_annotations,
    task,
)

UNKNOWN = 1


def partly() -> list[Annotations]:
    """Two images; in the first, objects of one category may be there unseen."""
    known = torch.tensor([label != UNKNOWN for label in range(len(CATEGORIES))])
    return [replace(annotate(blobs(2, 64, 96), [0, 2]), annotated=known), *random_annotations([2])]


def test_its_scores_get_no_gradient_there() -> None:
    seg, found, images = task(), picked(images=2), partly()
    assert found.pick is not None
    total = torch.stack(list(losses_of(seg, found, images).values())).sum()
    queries, patches = torch.autograd.grad(total, (found.logits, found.pick.logits))
    assert bool((queries[:, 0, :, UNKNOWN] == 0).all())
    assert bool((patches[0, :, UNKNOWN] == 0).all())
    assert bool((queries[:, 1, :, UNKNOWN] != 0).any())
    assert bool((patches[1, :, UNKNOWN] != 0).any())


def test_queries_of_eomt_may_say_it_where_they_have_no_object() -> None:
    seg, found = task(variant="eomt"), learned(images=2)
    (gradient,) = torch.autograd.grad(losses_of(seg, found, partly())["class"], found.logits)
    # Four of six queries of the first image have no object; no rising score of theirs makes the loss rise.
    assert int((gradient[0, 0, :, UNKNOWN] < 0).sum()) == 4
    assert int((gradient[0, 1, :, UNKNOWN] < 0).sum()) <= 2
