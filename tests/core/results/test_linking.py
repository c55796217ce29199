"""Linking: what several tasks found of one object becomes one row, and nothing is lost."""

import itertools
import json

import numpy as np
import pytest
import torch

from mtvit_core.results.linking import assign, link
from mtvit_core.structures.instances import Instances, concatenate
from support.models.link_cases import BOX, CATEGORIES, CUP, FAR, NEAR, SIDE, det, pose, row, seg


def linked(*rows: Instances, min_link: float = 0.5) -> Instances:
    return link(concatenate(rows), min_link)


def contents(found: Instances) -> list[str]:
    """Rows as texts that can be sorted, with all they hold but the numbers of objects."""
    entries = found.to_json()["objects"]
    return sorted(json.dumps({**entry, "id": 0}, sort_keys=True) for entry in entries)


def test_one_person_is_one_row_with_all_parts_and_all_scores() -> None:
    found = linked(det(BOX, 0.75), seg(NEAR, 0.5), pose(BOX, 0.25))
    assert found.tasks == ("det+seg+pose",)
    assert found.scores.tolist() == [0.75]
    assert found.boxes.tolist() == [list(BOX)]
    assert found.rles == seg(NEAR).rles
    assert torch.equal(found.keypoints, pose(BOX).keypoints)
    (one,) = found.links
    assert one is not None
    assert one.score == pytest.approx(38 / 40)  # boxes BOX and NEAR; every keypoint lies in the mask
    assert [(part.task, part.score) for part in one.findings] == [("det", 0.75), ("seg", 0.5), ("pose", 0.25)]
    assert one.findings[1].box == NEAR


def test_a_class_without_keypoints_gets_none() -> None:
    found = linked(det(FAR, label=CUP), seg(FAR, label=CUP), det(BOX), seg(BOX), pose(BOX))
    assert found.tasks == ("det+seg", "det+seg+pose")
    assert found.names == ("cup", "person")
    assert "keypoints" not in found.to_coco()[0]
    assert "keypoints" in found.to_coco()[1]


def test_two_overlapping_people_keep_their_own_parts() -> None:
    """Their boxes are nearly the same, and each skeleton's box is nearer to the other's: masks decide."""
    one, two = (10.0, 10.0, 60.0, 90.0), (16.0, 10.0, 66.0, 90.0)
    left, right = (10.0, 10.0, 30.0, 90.0), (46.0, 10.0, 66.0, 90.0)
    masks = [row("seg", one, mask=left), row("seg", two, mask=right)]
    skeletons = [
        pose(two, points=[(20.0, 20.0, 0.9), (20.0, 50.0, 0.9), (20.0, 80.0, 0.9)]),
        pose(one, points=[(56.0, 20.0, 0.9), (56.0, 50.0, 0.9), (56.0, 80.0, 0.9)]),
    ]
    for order in itertools.permutations([*masks, *skeletons]):
        found = linked(det(one), det(two), *order)
        assert found.tasks == ("det+seg+pose",) * 2
        sides = [(bool(found.masks[i, 50, 20]), float(found.keypoints[i, 0, 0])) for i in (0, 1)]
        assert sides == [(True, 20.0), (False, 56.0)]


def test_a_skeleton_outside_the_mask_is_not_linked_with_it() -> None:
    upper = row("seg", BOX, mask=(10.0, 10.0, 50.0, 30.0))
    lower = pose(BOX, points=[(30.0, 60.0, 0.9), (30.0, 70.0, 0.9), (30.0, 80.0, 0.9)])
    assert linked(upper, lower).tasks == ("seg", "pose")
    unsure = pose(BOX, points=[(30.0, 60.0, 0.2), (30.0, 70.0, 0.2), (30.0, 80.0, 0.2)])
    assert linked(upper, unsure).tasks == ("seg+pose",)  # no confident keypoint speaks against it
    beyond = pose(BOX, points=[(30.0, 15.0, 0.9), (-5.0, 20.0, 0.9), (30.0, 100.0, 0.9)])
    score = linked(upper, beyond, min_link=0.1).links[0]
    assert score is not None
    assert score.score == pytest.approx((1 / 3) ** 0.5)


def test_a_crowd_is_linked_one_to_one() -> None:
    people = [(4.0 * i, 10.0, 4.0 * i + 30, 90.0) for i in range(12)]
    found = linked(*map(det, people), *map(seg, people), *map(pose, people))
    assert found.tasks == ("det+seg+pose",) * 12
    assert all(one is not None and one.score == pytest.approx(1) for one in found.links)
    fewer = linked(*map(det, people), *map(seg, people[:5]), *map(pose, people[3:6]))
    assert sorted(fewer.tasks) == sorted(["det"] * 6 + ["det+seg"] * 3 + ["det+pose"] + ["det+seg+pose"] * 2)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_every_result_stands_in_exactly_one_row(scale: float) -> None:
    seed = np.random.default_rng(0)
    corners = seed.uniform(0, 50 * scale, (30, 2))
    boxes = np.concatenate([corners, corners + seed.uniform(20, 49, (30, 2))], 1).round().tolist()
    kinds = [det, seg, pose]
    before = concatenate(
        [kinds[i % 3](tuple(box), float(seed.uniform(0.1, 1))) for i, box in enumerate(boxes)]
    )
    after = link(before)
    assert len(after) < len(before)
    for name in ("det", "seg", "pose"):
        assert contents(after.of(name)) == contents(before.of(name))
    assert contents(after.apart()) == contents(before)
    for tasks in after.tasks:
        assert len(set(tasks.split("+"))) == len(tasks.split("+"))


def test_what_is_alone_stays_as_it_is() -> None:
    mask_alone, pose_alone = seg(BOX), pose(FAR)
    found = linked(mask_alone, pose_alone)
    assert found.tasks == ("seg", "pose")
    assert found.links == ()
    assert contents(found) == contents(concatenate([mask_alone, pose_alone]))
    some = linked(det(FAR), mask_alone, pose_alone)
    assert some.tasks == ("det+pose", "seg")
    assert some.links[1] is None
    assert contents(some[torch.tensor([1])]) == contents(mask_alone)


def test_nobody_there_and_one_task_alone() -> None:
    empty = Instances.empty(SIDE, SIDE, CATEGORIES)
    assert len(link(empty)) == 0
    twins = concatenate([det(BOX), det(BOX)])
    assert link(twins).tasks == ("det", "det")


def test_categories_that_differ_are_not_linked() -> None:
    assert linked(det(BOX, label=CUP), seg(BOX), pose(BOX)).tasks == ("det", "seg+pose")


def test_every_pair_of_parts_must_agree() -> None:
    """The skeleton fits the box but not the mask, which fits the box too."""
    whole, upper, lower = (10.0, 10.0, 50.0, 90.0), (10.0, 10.0, 50.0, 60.0), (10.0, 40.0, 50.0, 90.0)
    found = linked(det(whole), seg(upper), pose(lower))
    assert found.tasks == ("det+seg", "pose")
    assert linked(det(whole), pose(lower)).tasks == ("det+pose",)


def test_the_limit_is_a_setting() -> None:
    half = (10.0, 10.0, 50.0, 50.0)  # IoU 0.5
    assert linked(det(BOX), seg(half)).tasks == ("det+seg",)
    assert linked(det(BOX), seg(half), min_link=0.51).tasks == ("det", "seg")
    assert linked(det(BOX), seg(FAR), min_link=0.0).tasks == ("det", "seg")  # nothing in common


def test_sure_results_are_linked_before_unsure_ones() -> None:
    """A weak repeat of a box does not take the mask away, though it fits a little better."""
    found = linked(det(BOX, 0.9), det(NEAR, 0.1), seg(NEAR, 0.8))
    assert found.tasks == ("det+seg", "det")
    assert found.scores.tolist() == pytest.approx([0.9, 0.1])


def test_the_sum_counts_not_the_best_pair() -> None:
    agreement = np.array([[0.9, 0.8], [0.8, 0.0]])
    assert assign(agreement, [1.0, 1.0], [1.0, 1.0], 0.5) == [(0, 1), (1, 0)]


def test_the_order_of_rows_does_not_matter_ties_included() -> None:
    rows = [
        *(det(BOX), det(BOX), det(NEAR), det(FAR, 0.5, CUP)),
        *(seg(BOX), seg(NEAR), row("seg", BOX, mask=NEAR), pose(BOX), pose(NEAR), pose(FAR)),
    ]
    expected = contents(linked(*rows))
    seed = np.random.default_rng(0)
    for _ in range(50):
        assert contents(linked(*(rows[i] for i in seed.permutation(len(rows))))) == expected


def test_objects_stand_where_their_first_row_stood() -> None:
    found = linked(seg(FAR), det(BOX), pose(BOX), det(FAR))
    assert found.tasks == ("det+seg", "det+pose")
    assert found.boxes[0].tolist() == list(FAR)


def test_what_one_task_found_comes_best_first_again() -> None:
    """Objects stand in the order of masks, which is not that of boxes."""
    found = linked(seg(FAR, 0.9), seg(BOX, 0.8), det(BOX, 0.7), det(FAR, 0.6))
    assert found.tasks == ("det+seg",) * 2
    assert found.of("det").scores.tolist() == pytest.approx([0.7, 0.6])
    assert found.of("seg").scores.tolist() == pytest.approx([0.9, 0.8])


def test_linking_again_changes_nothing() -> None:
    once = linked(det(BOX), seg(NEAR), pose(BOX), det(FAR))
    assert contents(link(once)) == contents(once)


def test_two_masks_of_an_object_stay_two_rows() -> None:
    other = row("other", BOX, 0.4, mask=BOX)
    found = linked(det(BOX), seg(BOX), other)
    assert found.tasks == ("det+other", "seg")  # masks of equal weight: by name
    assert contents(found.of("other")) == contents(other)


def test_another_task_with_boxes_joins_and_its_box_is_kept() -> None:
    found = linked(det(BOX, 0.6), row("spots", NEAR, 0.7), seg(BOX))
    assert found.tasks == ("det+spots+seg",)
    assert found.scores.tolist() == pytest.approx([0.7])
    assert found.of("spots").boxes.tolist() == [list(NEAR)]


def test_tasks_may_stay_apart() -> None:
    rows = concatenate([row("presence", (0.0, 0.0, 100.0, 100.0), 0.9), det((0.0, 0.0, 90.0, 100.0))])
    assert link(rows).tasks == ("det+presence",)
    assert link(rows, apart=("presence",)).tasks == ("presence", "det")


def test_a_box_that_is_no_number_is_linked_with_nothing() -> None:
    odd = det((float("nan"),) * 4)
    assert linked(odd, det(BOX), seg(BOX)).tasks == ("det", "det+seg")


def test_json_has_one_object_with_one_id() -> None:
    found = linked(det(BOX, 0.75), seg(NEAR, 0.5), pose(BOX, 0.25), det(FAR, 0.5, CUP))
    data = found.to_json()
    assert json.loads(json.dumps(data)) == data
    person, cup = data["objects"]
    assert (person["id"], cup["id"]) == (1, 2)
    assert person["task"] == "det+seg+pose"
    assert person["link"] == pytest.approx(38 / 40)
    assert person["parts"] == [
        {"task": "det", "score": 0.75, "bbox": [10, 10, 40, 80]},
        {"task": "seg", "score": 0.5, "bbox": [12, 10, 38, 80]},
        {"task": "pose", "score": 0.25, "bbox": [10, 10, 40, 80]},
    ]
    assert {"segmentation", "keypoints", "bbox", "score"} <= person.keys()
    assert not {"link", "parts"} & cup.keys()
    assert [entry["id"] for entry in found.to_coco()] == [1, 2]


def test_selecting_and_joining_keep_links() -> None:
    found = linked(det(BOX), seg(BOX), det(FAR, 0.4))
    assert found[torch.tensor([1, 0])].links == (None, found.links[0])
    assert found.above(0.45).tasks == ("det+seg",)
    joined = concatenate([det(FAR), found])
    assert joined.links == (None, *found.links)
    assert joined.apart().tasks == ("det", "det", "seg", "det")
