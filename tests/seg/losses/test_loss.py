"""Losses: the published ones equal transformers'; images without objects or labels behave."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import EomtConfig
from transformers.models.eomt.modeling_eomt import EomtLoss

from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.matching import Match
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import ImageMeta
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.loss import map_iou, quality_targets
from mtvit_seg.task import Segmentation
from support.tasks.seg_cases import (
    annotate,
    blobs,
    learned,
    leaves,
    losses_of,
    match_of,
    picked,
    random_annotations,
    targets_of,
    task,
    tiny_model,
)

POINTS = 200
CONFIG = EomtConfig(num_labels=3, train_num_points=POINTS, no_object_weight=0.1)


def sorted_by_query(
    seg: Segmentation, predictions: SegPredictions, annotations: list[Annotations]
) -> list[Annotations]:
    """The same objects in the order of their queries, in which transformers draws the points of pairs."""
    match = match_of(seg, predictions, targets_of(seg, annotations))
    ordered = []
    for image, annotation in enumerate(annotations):
        order = match.query[0, image, : len(annotation)].argsort()
        assert annotation.masks is not None
        ordered.append(annotate(annotation.masks[order], annotation.labels[order].tolist()))
    return ordered


@pytest.mark.parametrize("counts", [[3], [2, 4], [3, 0, 1]])
def test_losses_and_gradients_equal_transformers(counts: list[int]) -> None:
    seg = task(variant="eomt", points=POINTS)
    predictions = learned(images=len(counts))
    annotations = random_annotations(counts)
    torch.manual_seed(4)
    annotations = sorted_by_query(seg, predictions, annotations)
    masks = [a.masks.float() for a in annotations if a.masks is not None]
    labels = [a.labels for a in annotations]
    torch.manual_seed(4)
    reference = EomtLoss(CONFIG, {})(predictions.mask_logits[0], predictions.logits[0], masks, labels)
    expected = 2 * reference["loss_cross_entropy"] + 5 * reference["loss_mask"] + 5 * reference["loss_dice"]
    torch.manual_seed(4)
    found = losses_of(seg, predictions, annotations)
    torch.testing.assert_close(found["class"], 2 * reference["loss_cross_entropy"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["mask"], 5 * reference["loss_mask"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["dice"], 5 * reference["loss_dice"], atol=1e-5, rtol=1e-5)
    gradients = torch.autograd.grad(sum(found.values(), torch.zeros(())), leaves(predictions))
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, leaves(predictions)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_layers_are_summed() -> None:
    seg = task(variant="eomt", sampling="dense")
    predictions, annotations = learned(layers=3, images=2), random_annotations([2, 3])
    together = losses_of(seg, predictions, annotations)
    for name, value in together.items():
        parts = [
            replace(
                predictions,
                logits=predictions.logits[i : i + 1],
                mask_logits=predictions.mask_logits[i : i + 1],
            )
            for i in range(3)
        ]
        torch.testing.assert_close(value, sum(losses_of(seg, part, annotations)[name] for part in parts))


@pytest.mark.parametrize("variant", ["eomt", "picked"])
@pytest.mark.parametrize("sampling", ["dense", "points"])
def test_unlabelled_images_give_no_loss_and_no_gradient(variant: str, sampling: str) -> None:
    seg = task(variant=variant, sampling=sampling, points=50)
    make = learned if variant == "eomt" else picked
    predictions = make(layers=2, images=2)
    nothing = annotate(blobs(2, 64, 96), [0, 1], labelled=False)
    alone = losses_of(seg, predictions, [nothing, nothing])
    assert all(value.item() == 0 for value in alone.values())
    for gradient in torch.autograd.grad(sum(alone.values(), torch.zeros(())), leaves(predictions)):
        assert not gradient.any()
    beside = losses_of(seg, predictions, [nothing, random_annotations([2])[0]])
    for gradient, leaf in zip(
        torch.autograd.grad(sum(beside.values(), torch.zeros(())), leaves(predictions)),
        leaves(predictions),
        strict=True,
    ):
        images = gradient if leaf.ndim == 3 else gradient.transpose(0, 1)
        assert not images[0].any()
        assert images[1].any()


@pytest.mark.parametrize("variant", ["eomt", "picked"])
def test_images_without_objects_teach_background_only(variant: str) -> None:
    seg = task(variant=variant)
    predictions = (learned if variant == "eomt" else picked)(images=2)
    found = losses_of(seg, predictions, random_annotations([0, 0]))
    assert {name for name, value in found.items() if value.item() > 0} <= {"class", "proposal_class"}
    assert found["class"].item() > 0
    gradient = torch.autograd.grad(found["class"], predictions.logits)[0]
    background = gradient[..., -1] < 0 if variant == "eomt" else gradient.min(-1).values > 0
    assert background.all()
    assert not torch.autograd.grad(found["mask"], predictions.mask_logits)[0].any()


@pytest.mark.parametrize("variant", ["eomt", "picked"])
def test_splitting_a_batch_changes_nothing(variant: str) -> None:
    seg = task(variant=variant, sampling="dense", loss_proposal=0.0)
    predictions = (learned if variant == "eomt" else picked)(layers=2, images=3)
    annotations = random_annotations([2, 2, 2])
    together = losses_of(seg, predictions, annotations)
    parts = [losses_of(seg, image_of(predictions, i), annotations[i : i + 1]) for i in range(3)]
    for name, value in together.items():
        # The class term of eomt is a weighted mean; its weights sum to the same for as many objects.
        torch.testing.assert_close(
            value, torch.stack([part[name] for part in parts]).mean(), atol=1e-5, rtol=1e-5
        )


def image_of(predictions: SegPredictions, image: int) -> SegPredictions:
    cut: dict[str, Tensor] = {
        name: value[:, image : image + 1]
        for name, value in vars(predictions).items()
        if isinstance(value, Tensor)
    }
    pick = predictions.pick
    if pick is not None:
        rows = slice(image, image + 1)
        pick = Pick.among(pick.logits[rows], pick.boxes[rows], pick.index[rows])
    return replace(predictions, pick=pick, **cut)


def test_more_objects_than_queries_leave_some_unmatched() -> None:
    seg = task(variant="eomt", sampling="dense")
    predictions, annotations = learned(queries=2), random_annotations([5])
    targets = targets_of(seg, annotations)
    match = match_of(seg, predictions, targets)
    assert int(match.matched.sum()) == 2
    masks = predictions.mask_logits[0, 0, match.query[0, 0, match.matched[0, 0]]]
    truth = targets.on_map((16, 24))[match.matched[0, 0]]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(masks, truth)
    torch.testing.assert_close(seg.loss(predictions, targets, match)["mask"], 5 * expected)


def test_perfect_predictions_cost_next_to_nothing() -> None:
    seg = task()
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 16:48, 20:60] = True
    targets = targets_of(seg, [annotate(masks, [1])])
    logits = torch.full((1, 1, 2, 3), -20.0)
    logits[0, 0, 1, 1] = 20.0
    predictions = replace(
        picked(queries=2),
        logits=logits,
        mask_logits=40 * (targets.on_map((16, 24)) - 0.5)[None, None].expand(-1, -1, 2, -1, -1),
        boxes=targets.boxes[None].expand(-1, -1, 2, -1),
    )
    found = seg.loss(predictions, targets, match_of(seg, predictions, targets))
    assert max(found[name].item() for name in ("class", "mask", "dice", "l1", "giou")) < 1e-3


def test_quality_is_the_iou_of_the_matched_mask_at_its_class() -> None:
    seg = task()
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 0:32, 0:48] = True
    targets = targets_of(seg, [annotate(masks, [2])])
    logits = torch.full((1, 1, 3, 16, 24), -1.0)
    logits[0, 0, 1, 0:8, 0:6] = 1.0
    predictions = replace(picked(queries=3), mask_logits=logits)
    match = Match(torch.tensor([[[1]]]), torch.tensor([[[True]]]))
    found = quality_targets(predictions, targets, match)
    assert found[0, 0, 1, 2] == pytest.approx(0.5)
    assert int((found > 0).sum()) == 1


def test_iou_with_partly_covered_pixels() -> None:
    found = torch.tensor([[[True, True, False]]])
    truth = torch.tensor([[[1.0, 0.5, 0.25]]])
    assert map_iou(found[None], truth).item() == pytest.approx(1.5 / 2.25)


@pytest.mark.parametrize("variant", ["eomt", "picked"])
@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
def test_every_head_parameter_is_reduced_even_without_objects(variant: str, counts: list[int]) -> None:
    model = tiny_model(variant=variant).train()
    images = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    meta = (ImageMeta.whole(64, 96), ImageMeta.whole(64, 96))
    losses = model.losses(Batch(images, tuple(random_annotations(counts)), meta))
    sum(losses.values(), torch.zeros(())).backward()
    without = [name for name, p in model.tasks.named_parameters() if p.grad is None]
    assert not without
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
