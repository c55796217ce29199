"""What people become as targets: relative, padded, crowds left out."""

from dataclasses import replace

import pytest
import torch

from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_pose.oks import DEFAULT_SIGMA
from mtvit_pose.onepass.targets import pose_targets
from support.tasks.pose_cases import CANVAS, PEOPLE, TWO_SCHEMAS, people


def test_targets_are_relative_and_padded():
    two, none, unlabelled = people(2), people(0), people(3, has=frozenset({"boxes"}))
    dog = replace(two, labels=torch.tensor([1, 0]))

    targets = pose_targets([two, none, unlabelled, dog], PEOPLE, CANVAS, torch.device("cpu"))

    assert targets.counts == (2, 0, 0, 1)
    assert targets.labelled.tolist() == [True, True, False, True]
    assert targets.valid.tolist() == [[True, True], [False, False], [False, False], [True, False]]
    torch.testing.assert_close(targets.boxes[0], xyxy_to_cxcywh(two.boxes) / torch.tensor([96, 64, 96, 64]))
    torch.testing.assert_close(targets.points[0], two.keypoints[..., :2] / torch.tensor([96, 64]))


def test_crowds_are_left_out():
    crowd = replace(people(2), is_crowd=torch.tensor([True, False]))

    assert pose_targets([crowd], PEOPLE, CANVAS, torch.device("cpu")).counts == (1,)


def test_several_schemas_are_padded_to_the_longest():
    pair = people(2, categories=TWO_SCHEMAS, labels=[0, 2])

    targets = pose_targets([pair], TWO_SCHEMAS, CANVAS, torch.device("cpu"))

    assert targets.classes.tolist() == [[0, 1]]
    assert targets.exists[0].sum(-1).tolist() == [3, 17]
    assert targets.known[0].sum(-1).tolist() == [3, 17]
    assert (targets.sigmas[0, 0] == DEFAULT_SIGMA).all()
    assert targets.sigmas[0, 1, 11].item() == pytest.approx(0.107)
