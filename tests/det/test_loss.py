"""Losses of both variants: unlabelled images, how batches are put together, and the picked one by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Pick
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
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

CLASSES, QUERIES = len(CATEGORIES), 6
VARIANTS = ["yolos", "picked"]


def random_predictions(variant: str, images: int) -> DetPredictions:
    """Return predictions as the variant's head makes them in training."""
    if variant == "yolos":
        return predictions(images, QUERIES, CLASSES + 1)
    return predictions(images, QUERIES, CLASSES, layers=2, patches=24)


def inputs(found: DetPredictions) -> list[Tensor]:
    """Return what gradients reach."""
    dense = [] if found.pick is None else [found.pick.logits, found.pick.boxes]
    return [found.logits, found.boxes, *dense]


def of_image(found: DetPredictions, i: int) -> DetPredictions:
    """Return the predictions for one image of a batch."""
    pick = found.pick and Pick.among(
        *(part[i : i + 1] for part in (found.pick.logits, found.pick.boxes, found.pick.index))
    )
    return replace(found, logits=found.logits[:, i : i + 1], boxes=found.boxes[:, i : i + 1], pick=pick)


@pytest.mark.parametrize("variant", VARIANTS)
def test_unlabelled_images_give_exactly_no_loss_and_no_gradient(variant: str) -> None:
    found = random_predictions(variant, 2)
    unlabelled = [replace(one, has=frozenset({"masks"})) for one in random_annotations((3, 2))]
    losses = losses_of(task(variant=variant), found, targets_of(unlabelled))
    assert {name: value.item() for name, value in losses.items()} == dict.fromkeys(losses, 0.0)
    total = torch.stack(list(losses.values())).sum()
    for gradient in torch.autograd.grad(total, inputs(found)):
        assert not bool(gradient.any())


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_unlabelled_image_changes_nothing_for_the_others(variant: str) -> None:
    found, (first, second) = random_predictions(variant, 2), random_annotations((2, 3))
    hidden = replace(second, has=frozenset())
    together = losses_of(task(variant=variant), found, targets_of([first, hidden]))
    alone = losses_of(task(variant=variant), of_image(found, 0), targets_of([first]))
    for name, value in together.items():
        torch.testing.assert_close(value, alone[name], msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_labelled_images_without_objects_teach_only_the_background(variant: str) -> None:
    found = random_predictions(variant, 2)
    losses = losses_of(task(variant=variant), found, targets_of(random_annotations((0, 0))))
    assert losses["class"] > 0
    assert losses["l1"].item() == losses["giou"].item() == 0
    gradients = torch.autograd.grad(torch.stack(list(losses.values())).sum(), inputs(found))
    assert bool(gradients[0].any())
    assert not bool(gradients[1].any())


@pytest.mark.parametrize("variant", VARIANTS)
def test_terms_add_up_over_the_images_of_a_batch(variant: str) -> None:
    """Sums over objects are divided by their number only, so any split of a batch gives the same total."""
    found, images = random_predictions(variant, 3), random_annotations((2, 0, 5))
    one, targets = task(variant=variant), targets_of(images)
    together = losses_of(one, found, targets)
    parts = [losses_of(one, of_image(found, i), targets_of(images[i : i + 1])) for i in range(3)]
    names = ("l1", "giou") if variant == "yolos" else ("l1", "giou", "class")
    for name in names:
        total = sum(max(1, n) * part[name] for n, part in zip(targets.counts, parts, strict=True))
        torch.testing.assert_close(
            sum(targets.counts) * together[name], total, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_images_and_objects_changes_nothing(variant: str) -> None:
    found, images = random_predictions(variant, 2), random_annotations((3, 2))
    together = losses_of(task(variant=variant), found, targets_of(images))
    rows = torch.tensor([2, 0, 1])
    shuffled = replace(images[0], boxes=images[0].boxes[rows], labels=images[0].labels[rows])
    pick = found.pick and Pick.among(
        found.pick.logits.flip(0), found.pick.boxes.flip(0), found.pick.index.flip(0)
    )
    turned = replace(found, logits=found.logits.flip(1), boxes=found.boxes.flip(1), pick=pick)
    other = losses_of(task(variant=variant), turned, targets_of([images[1], shuffled]))
    for name, value in together.items():
        torch.testing.assert_close(other[name], value, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_more_objects_than_queries(variant: str) -> None:
    found, targets = random_predictions(variant, 1), targets_of(random_annotations((QUERIES + 3,)))
    assert int(match_of(task(variant=variant), found, targets).matched[0].sum()) == QUERIES
    losses = losses_of(task(variant=variant), found, targets)
    assert all(bool(torch.isfinite(value)) for value in losses.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_scale_their_terms(variant: str) -> None:
    found, targets = random_predictions(variant, 2), targets_of(random_annotations((3, 2)))
    plain = losses_of(task(variant=variant), found, targets)
    weighted = losses_of(
        task(variant=variant, loss_class=3, loss_l1=10, loss_giou=0, loss_proposal=0.5), found, targets
    )
    scales = {"class": 3.0, "l1": 2.0, "giou": 0.0, "proposal_class": 0.5, "proposal_box": 0.5}
    for name, value in plain.items():
        torch.testing.assert_close(weighted[name], scales[name] * value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_degenerate_boxes_give_finite_losses_and_gradients(variant: str) -> None:
    found = random_predictions(variant, 1)
    targets = targets_of([annotate([[10, 10, 10, 10], [20, 5, 20, 40]], [0, 1])])
    found.boxes.data[:, 0, :2] = targets.boxes[0]
    total = torch.stack(list(losses_of(task(variant=variant), found, targets).values())).sum()
    for value in (total, *torch.autograd.grad(total, inputs(found))):
        assert bool(torch.isfinite(value).all())


def picked_by_hand() -> tuple[DetPredictions, DetTargets]:
    """Return two queries and one object of class 2, which the second query fits in part."""
    boxes = torch.tensor([[0.8, 0.8, 0.1, 0.1], [0.3, 0.25, 0.2, 0.5]])
    logits = torch.tensor([[0.5, -1.0, 0.0, -2.0], [1.0, 0.0, -0.5, 2.0]])
    pick = Pick.among(torch.zeros(1, 2, CLASSES), boxes[None], torch.tensor([[0, 1]]))
    return (
        DetPredictions(logits[None, None], boxes[None, None], pick, (64, 96)),
        targets_of([annotate([[0.2 * 96, 0.0, 0.6 * 96, 0.5 * 64]], [2])]),
    )


def test_picked_terms_by_hand() -> None:
    found, targets = picked_by_hand()
    losses = losses_of(task(), found, targets)
    # Target 0.4 x 0.5 at (0.4, 0.25): the query covers half of it, and nothing else.
    torch.testing.assert_close(losses["l1"], torch.tensor(5 * (0.1 + 0.2)))
    torch.testing.assert_close(losses["giou"], torch.tensor(2 * (1 - 0.5)))
    probability = found.logits[0, 0].sigmoid()
    wanted = torch.zeros(2, CLASSES)
    wanted[1, 2] = 0.5
    entropy = -(wanted * probability.log() + (1 - wanted) * (1 - probability).log())
    torch.testing.assert_close(losses["class"], ((wanted - probability) ** 2 * entropy).sum())


def test_every_layer_is_matched_and_counted() -> None:
    found, targets = random_predictions("picked", 2), targets_of(random_annotations((3, 1)))
    both = losses_of(task(), found, targets)
    layers = [
        losses_of(
            task(), replace(found, logits=found.logits[i : i + 1], boxes=found.boxes[i : i + 1]), targets
        )
        for i in range(2)
    ]
    for name in ("class", "l1", "giou"):
        torch.testing.assert_close(both[name], layers[0][name] + layers[1][name])
    torch.testing.assert_close(both["proposal_box"], layers[0]["proposal_box"])


def test_the_quality_that_classes_aim_at_passes_no_gradient_to_boxes() -> None:
    found, targets = random_predictions("picked", 1), targets_of(random_annotations((3,)))
    losses = losses_of(task(), found, targets)
    (gradient,) = torch.autograd.grad(losses["class"], found.boxes, allow_unused=True, materialize_grads=True)
    assert not bool(gradient.any())


def test_cost_of_the_class_depends_on_the_variant_unless_it_is_set() -> None:
    assert task(variant="yolos").variant.cost_class == 1
    assert task().variant.cost_class == 2
    assert task(variant="yolos", cost_class=0.5).variant.cost_class == 0.5
