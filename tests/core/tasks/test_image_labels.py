"""Tasks that label whole images: the contract, and what counts as known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtvit_core import (
    Annotations,
    Categories,
    Category,
    ImageLabelsConfig,
    ImageLabelsTask,
    ImageLogits,
    ImageMeta,
)
from mtvit_core.testing import TaskSuite


class Tags(ImageLabelsTask[ImageLabelsConfig]):
    """The smallest subclass."""

    name = "tags"


def labels_task() -> Tags:
    """A task for three categories."""
    items = tuple(Category(id_, name) for id_, name in ((5, "cat"), (2, "dog"), (9, "emu")))
    return Tags(ImageLabelsConfig(), Categories(items))


class TestTags(TaskSuite):
    """A subclass with nothing but a name keeps the whole contract."""

    task = Tags


def annotation(labels: list[int], *has: str) -> Annotations:
    """Objects of these labels, all alike."""
    count = len(labels)
    return Annotations(
        boxes=torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(count, 1),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=None,
        keypoints=None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=torch.full((count,), 64.0),
        ids=torch.arange(count),
        has=frozenset(has),
    )


def test_it_learns_from_labelled_images_only() -> None:
    task = labels_task()
    truth = [annotation([0, 2, 0], "boxes"), annotation([], "boxes"), annotation([1], "masks")]
    targets = task.targets(truth, (32, 32), torch.device("cpu"))
    assert targets.present.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert (targets.counts, targets.labelled.tolist()) == ((2, 0, 0), [True, True, False])
    logits = torch.zeros(3, 3, requires_grad=True)
    predictions = ImageLogits(logits)
    loss = task.loss(predictions, targets, None)["class"]
    assert loss.item() == pytest.approx(np.log(2))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2].tolist() == [0, 0, 0]
    assert torch.equal(logits.grad[:2] < 0, targets.present[:2])


def test_a_category_that_nobody_annotated_is_not_absent() -> None:
    task = labels_task()
    known = torch.tensor([True, False, True])
    truth = [replace(annotation([0], "boxes"), annotated=known), annotation([1], "boxes")]
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.5, 0.0]], requires_grad=True)
    predictions = ImageLogits(logits)
    targets = task.targets(truth, (32, 32), torch.device("cpu"))
    task.loss(predictions, targets, None)["class"].backward()
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [[False, True, False], [False] * 3]
    evaluator, metas = task.evaluator(), [ImageMeta.whole(8, 8, image_id=i) for i in range(2)]
    evaluator.update(task.decode(predictions, metas), truth, metas)
    assert evaluator.compute()["AP"] == 1


def test_average_precision_ranks_images() -> None:
    task = labels_task()
    metas = [ImageMeta.whole(8, 8, image_id=i) for i in range(4)]
    truth = [
        annotation(labels, *has)
        for labels, has in (([0], ["boxes"]), ([1], ["boxes"]), ([0], ["boxes"]), ([2], []))
    ]
    # Cats: ranked 1, 3; dogs: ranked 2; emus are not labelled.
    logits = torch.tensor([[3.0, 1.0, 0.0], [2.0, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    results = task.decode(ImageLogits(logits), metas)
    first, second = task.evaluator(), task.evaluator()
    first.update(results[:2], truth[:2], metas[:2])
    second.update(results[1:], truth[1:], metas[1:])
    whole = task.evaluator()
    whole.merge([first.state(), second.state()])
    assert whole.compute()["AP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert np.isnan(task.evaluator().compute()["AP"])
