"""People, categories and keypoints that nobody annotated are not background."""

from dataclasses import replace

import torch

from mtvit_core.losses.matching import match_all
from mtvit_core.structures.annotations import UNASKED
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.dense_heatmaps import dense_targets, dense_weights
from mtvit_pose.onepass.loss import match_cost, pose_losses
from mtvit_pose.onepass.targets import pose_targets
from support.tasks.pose_cases import PEOPLE, TWO_SCHEMAS, people, predictions

CPU, CANVAS = torch.device("cpu"), (64, 96)
HAND, PERSON = 0, 1
NOSE = COCO_PERSON.names.index("nose")


def test_keypoints_alone_teach_pose() -> None:
    alone = people(2, has=frozenset({"keypoints"}))
    assert pose_targets([alone], PEOPLE, CANVAS, CPU).counts == (2,)
    without = replace(alone, has=frozenset({"boxes"}), keypoints=None)
    assert pose_targets([without], PEOPLE, CANVAS, CPU).labelled.tolist() == [False]


def test_a_category_that_is_not_annotated_gives_its_scores_no_gradient() -> None:
    entry = replace(people(2, categories=TWO_SCHEMAS), annotated=torch.tensor([False, True, True]))
    targets = pose_targets([entry], TWO_SCHEMAS, CANVAS, CPU)
    assert targets.annotated.tolist() == [[False, True]]
    found, config = predictions(classes=2), PoseConfig()
    match = match_all({"pose": (match_cost(found, targets, config), targets.counts)})["pose"]
    total = torch.stack(list(pose_losses(found, targets, match, config).values())).sum()
    queries, patches = torch.autograd.grad(total, (found.logits, found.pick.logits))
    for gradient in (queries, patches):
        assert bool((gradient[..., HAND] == 0).all())
        assert bool((gradient[..., PERSON] != 0).any())


def test_no_heatmap_is_background_where_its_category_is_not_annotated() -> None:
    entry = replace(people(1, categories=TWO_SCHEMAS), annotated=torch.tensor([False, True, True]))
    targets = pose_targets([entry], TWO_SCHEMAS, CANVAS, CPU)
    # The first three channels are keypoints of hands as well as of persons.
    assert targets.hidden[0].tolist() == [True] * 3 + [False] * 14
    truth = dense_targets(targets, (8, 12), CANVAS)
    weight = dense_weights(targets, truth)
    assert torch.equal(weight[0, :3], truth[0, :3])
    assert bool((weight[0, 3:] == 1).all())


def test_a_keypoint_that_the_data_set_does_not_annotate_teaches_nothing() -> None:
    entry = people(1)
    assert entry.keypoints is not None
    entry.keypoints[0, NOSE] = torch.tensor([0, 0, UNASKED])
    targets = pose_targets([entry], PEOPLE, CANVAS, CPU)
    assert not targets.known[0, 0, NOSE]
    assert not targets.exists[0, 0, NOSE]
    assert targets.unknown[0, 0].sum() == 1
    found, config = predictions(), PoseConfig()
    match = match_all({"pose": (match_cost(found, targets, config), targets.counts)})["pose"]
    total = torch.stack(list(pose_losses(found, targets, match, config).values())).sum()
    points, seen = torch.autograd.grad(total, (found.points, found.visibility))
    for gradient in (points, seen):
        assert bool((gradient[:, :, :, NOSE] == 0).all())
        assert bool((gradient[:, :, :, NOSE + 1] != 0).any())


def test_heatmaps_are_silent_only_inside_people_of_whom_a_keypoint_is_unknown() -> None:
    entry = people(1)
    entry = replace(entry, boxes=torch.tensor([[24.0, 16.0, 72.0, 48.0]]))
    assert entry.keypoints is not None
    entry.keypoints[:] = 0
    targets = pose_targets([entry], PEOPLE, CANVAS, CPU)
    weight = dense_weights(targets, dense_targets(targets, (8, 12), CANVAS))
    inside = torch.zeros(8, 12, dtype=torch.bool)
    inside[2:6, 3:9] = True
    assert torch.equal(weight[0, NOSE] == 0, inside)
    assert bool((weight[0, NOSE][~inside] == 1).all())
