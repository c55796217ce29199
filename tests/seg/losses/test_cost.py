"""Matching costs: the published ones equal transformers' matcher."""

import pytest
import torch
from torch.nn import functional as F
from transformers.models.eomt.modeling_eomt import (
    EomtHungarianMatcher,
    pair_wise_dice_loss,
    pair_wise_sigmoid_cross_entropy_loss,
    sample_point,
)

from mtvit_core.losses.classification import sigmoid_focal
from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou
from mtvit_seg.losses.cost import pair_dice, pair_entropy, point_values
from support.tasks.seg_cases import learned, match_of, picked, random_annotations, targets_of, task


def test_pairs_equal_transformers() -> None:
    predictions, annotations = learned(layers=2, images=2), random_annotations([3, 2])
    targets = targets_of(task(), annotations)
    points = torch.rand(2, 90, 2)
    logits, truth = point_values(predictions.mask_logits, targets, points)
    entropy, dice = pair_entropy(logits, truth), pair_dice(logits, truth)
    for layer in range(2):
        for image, annotation in enumerate(annotations):
            assert annotation.masks is not None
            masks = predictions.mask_logits[layer, image]
            where = points[image][None]
            x = sample_point(masks[:, None], where.expand(len(masks), -1, -1), align_corners=False)[:, 0]
            true = annotation.masks.float()
            t = sample_point(true[:, None], where.expand(len(true), -1, -1), align_corners=False)[:, 0]
            count = len(true)
            expected = pair_wise_sigmoid_cross_entropy_loss(x, t)
            torch.testing.assert_close(entropy[layer, image, :, :count], expected, atol=1e-5, rtol=1e-5)
            expected = pair_wise_dice_loss(x, t)
            torch.testing.assert_close(dice[layer, image, :, :count], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("objects", [1, 4, 6])
def test_matching_equals_transformers_on_the_same_points(objects: int) -> None:
    seg = task(variant="eomt", points=200)
    predictions, annotations = learned(queries=6), random_annotations([objects])
    assert annotations[0].masks is not None
    torch.manual_seed(3)
    reference = EomtHungarianMatcher(cost_class=2.0, cost_mask=5.0, cost_dice=5.0, num_points=200)
    rows, columns = reference(
        predictions.mask_logits[0],
        predictions.logits[0],
        [annotations[0].masks.float()],
        [annotations[0].labels],
    )[0]
    torch.manual_seed(3)
    match = match_of(seg, predictions, targets_of(seg, annotations))
    assert match.matched.all()
    assert match.query[0, 0, columns].tolist() == rows.tolist()


def test_the_cost_has_no_gradient() -> None:
    seg = task()
    predictions = picked(images=2)
    cost = seg.cost(predictions, targets_of(seg, random_annotations([2, 3])))
    assert cost.shape == (1, 2, 6, 3)
    assert not cost.requires_grad


def test_picked_cost_is_the_weighted_sum_of_its_parts() -> None:
    seg = task(cost_class=1.5, cost_mask=3.0, cost_dice=4.0, cost_l1=2.0, cost_giou=0.5)
    predictions, annotations = picked(layers=2), random_annotations([2])
    targets = targets_of(seg, annotations)
    cost = seg.cost(predictions, targets)
    assert predictions.boxes is not None
    for query in range(6):
        for index in range(2):
            x = predictions.mask_logits[1, 0, query].flatten()
            t = targets.on_map((16, 24))[index].flatten()
            p = x.sigmoid()
            label = int(targets.labels[0, index])
            logit = predictions.logits[1, 0, query, label]
            box, true = predictions.boxes[1, 0, query], targets.boxes[0, index]
            expected = (
                1.5 * (sigmoid_focal(logit, torch.tensor(1.0)) - sigmoid_focal(logit, torch.tensor(0.0)))
                + 3 * F.binary_cross_entropy_with_logits(x, t)
                + 4 * (1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
                + 2 * (box - true).abs().sum()
                - 0.5 * generalized_box_iou(cxcywh_to_xyxy(box), cxcywh_to_xyxy(true))
            )
            torch.testing.assert_close(cost[1, 0, query, index], expected, atol=1e-4, rtol=1e-4)


def test_a_perfect_query_is_the_cheapest() -> None:
    seg = task()
    annotations = random_annotations([3])
    targets = targets_of(seg, annotations)
    predictions = picked()
    assert predictions.boxes is not None
    with torch.no_grad():
        for index, query in enumerate((4, 0, 2)):
            predictions.mask_logits[0, 0, query] = 40 * (targets.on_map((16, 24))[index] - 0.5)
            predictions.boxes[0, 0, query] = targets.boxes[0, index]
    assert match_of(seg, predictions, targets).query[0, 0].tolist() == [4, 0, 2]
