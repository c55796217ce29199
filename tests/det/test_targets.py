"""Targets: relative boxes, padding, crowds and images without labels."""

import torch

from support.tasks.det_cases import annotate, targets_of


def test_boxes_are_relative_to_the_canvas_and_padded() -> None:
    targets = targets_of(
        [
            annotate([[0, 0, 96, 64], [24, 16, 48, 48]], [3, 1]),
            annotate([], []),
            annotate([[96, 64, 96, 64]], [2]),
        ]
    )
    assert targets.counts == (2, 0, 1)
    assert targets.labels.tolist() == [[3, 1], [0, 0], [2, 0]]
    assert targets.valid.tolist() == [[True, True], [False, False], [True, False]]
    assert targets.labelled.tolist() == [True, True, True]
    zero = [0.0] * 4
    torch.testing.assert_close(
        targets.boxes,
        torch.tensor([[[0.5, 0.5, 1, 1], [0.375, 0.5, 0.25, 0.5]], [zero, zero], [[1, 1, 0, 0], zero]]),
    )


def test_crowds_are_left_out() -> None:
    targets = targets_of(
        [annotate([[0, 0, 9, 9], [1, 1, 5, 5], [2, 2, 3, 3]], [0, 1, 2], [True, False, True])]
    )
    assert targets.counts == (1,)
    assert targets.labels.tolist() == [[1]]


def test_images_without_box_labels_have_no_targets() -> None:
    unlabelled = annotate([[0, 0, 9, 9]], [1], has=frozenset({"keypoints"}))
    targets = targets_of([unlabelled, annotate([[0, 0, 9, 9]], [1])])
    assert targets.counts == (0, 1)
    assert targets.labelled.tolist() == [False, True]
    assert targets_of([unlabelled]).boxes.shape == (1, 0, 4)


def test_no_objects_at_all() -> None:
    targets = targets_of([annotate([], []), annotate([], [])])
    assert targets.boxes.shape == (2, 0, 4)
    assert targets.labelled.tolist() == [True, True]
