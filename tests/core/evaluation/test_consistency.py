"""Consistency of linked results: counted by hand, and the same however the results come."""

import math
import pickle
from dataclasses import replace

import pytest
import torch

from mtvit_core.evaluation import consistency
from mtvit_core.evaluation.consistency import Consistency
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.linking import link
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.instances import Instances, concatenate
from support.models.link_cases import BOX, CUP, FAR, det, pose, row, seg

NEEDS = {"det": frozenset({"boxes"}), "seg": frozenset({"masks"}), "pose": frozenset({"keypoints"})}


def in_image(image_id: int, *rows: Instances) -> Instances:
    return Instances(**{**vars(concatenate(rows)), "image_id": image_id})


def scored(*results: Instances, min_score: float = 0.3) -> dict[str, float]:
    metric = Consistency(NEEDS, min_score)
    metric.update([ImageResult(one) for one in results])
    return metric.compute()


def test_counts_by_hand() -> None:
    """A whole person, of whose three keypoints one is outside the mask; a cup that lacks its mask."""
    box = (10.0, 10.0, 50.0, 50.0)
    mask = row("seg", (10.0, 10.0, 50.0, 60.0), mask=(10.0, 10.0, 50.0, 60.0))
    skeleton = pose(box, points=[(30.0, 20.0, 0.9), (30.0, 59.5, 0.5), (30.0, 61.0, 0.3)])
    found = scored(in_image(1, det(box), mask, skeleton, det(FAR, label=CUP)))
    assert found == pytest.approx(
        {
            "complete": 1 / 2,
            "consistent": 1 / 2,
            "keypoints_in_mask": 2 / 3,
            "mask_in_box": 40 / 50,
            "score": (40 / 50 * 2 / 3) ** 0.5,
        }
    )


def test_a_cup_needs_no_keypoints_and_a_person_does() -> None:
    assert scored(in_image(1, det(BOX, label=CUP), seg(BOX, label=CUP)))["complete"] == 1
    assert scored(in_image(1, det(BOX), seg(BOX)))["complete"] == 0
    assert scored(in_image(1, seg(BOX), pose(BOX)))["complete"] == 0  # no box of its own


def test_masks_count_against_boxes_of_another_task_only() -> None:
    assert math.isnan(scored(in_image(1, seg(BOX), pose(BOX)))["mask_in_box"])
    assert scored(in_image(1, det(BOX), seg(BOX)))["mask_in_box"] == 1


def test_keypoints_outside_the_image_or_unsure_are_no_hits() -> None:
    skeleton = pose(BOX, points=[(30.0, 50.0, 0.9), (30.0, -1.0, 0.9), (30.0, 95.0, 0.1)])
    assert scored(in_image(1, det(BOX), seg(BOX), skeleton))["keypoints_in_mask"] == 1 / 2


def test_weak_results_do_not_count() -> None:
    rows = in_image(1, det(BOX, 0.9), seg(BOX, 0.29), pose(BOX, 0.3))
    found = scored(rows)
    assert (found["complete"], found["score"]) == (0, 1)
    assert math.isnan(found["mask_in_box"])
    assert scored(rows, min_score=0.2)["complete"] == 1


def test_weak_parts_of_a_sure_object_count_where_they_are_of_one_query() -> None:
    parts = in_image(1, det(BOX, 0.9), seg(BOX, 0.1), pose(BOX, 0.1))
    assert scored(replace(parts, queries=(3, 3, 3)))["complete"] == 1
    assert scored(replace(parts, queries=(3, 3, 4)))["complete"] == 0
    weak = replace(in_image(1, det(BOX, 0.2), seg(BOX, 0.1)), queries=(3, 3))
    assert math.isnan(scored(weak)["complete"])


def test_consistent_objects_are_complete_and_their_parts_agree() -> None:
    """A cup whose mask is of the same query but elsewhere; two whose parts agree; one without a mask."""
    apart = replace(in_image(1, det(BOX, label=CUP), seg(FAR, label=CUP)), queries=(3, 3))
    together = in_image(2, det(BOX, label=CUP), seg(BOX, label=CUP))
    shifted = in_image(3, det((10, 10, 30, 50), label=CUP), seg((15, 10, 35, 50), label=CUP))  # IoU 0.6
    bare = in_image(4, det(BOX, label=CUP))
    found = scored(apart, together, shifted, bare)
    assert (found["complete"], found["consistent"]) == (3 / 4, 2 / 4)
    strict = Consistency(NEEDS, 0.3, min_link=0.7)
    strict.update([ImageResult(apart), ImageResult(together)])
    assert strict.compute()["consistent"] == 1 / 2
    alone = Consistency({"det": NEEDS["det"]}, 0.3)
    alone.update([ImageResult(bare)])  # nothing that could disagree
    assert alone.compute()["consistent"] == 1


def test_nothing_found_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in scored().values())
    nothing = in_image(1, det(BOX))[torch.zeros(1, dtype=torch.bool)]
    assert all(math.isnan(value) for value in scored(nothing).values())
    assert Consistency(NEEDS, 0.3).details(0.3).tables == ()


def test_tasks_and_shares_may_come_in_any_order() -> None:
    """Tasks of one image come apart, and to different processes; all must be as if they came together."""
    images = [
        (
            in_image(i, det(BOX, 0.5 + i / 20), det(FAR)),
            in_image(i, seg(BOX), seg(FAR)),
            in_image(i, pose(BOX)),
        )
        for i in range(7)
    ]
    whole = Consistency(NEEDS, 0.3)
    whole.update([ImageResult(concatenate(parts)) for parts in images])
    left, right, merged = (Consistency(NEEDS, 0.3) for _ in range(3))
    for i, (boxes, masks, skeletons) in enumerate(images):
        (left if i % 2 else right).update([ImageResult(skeletons)])
        right.update([ImageResult(masks)])
        (left if i % 3 else right).update([ImageResult(boxes)])
    left.update([ImageResult(images[0][0])])  # seen twice, counted once
    states = [pickle.loads(pickle.dumps(one.state())) for one in (left, right)]
    merged.merge(states)
    assert merged.compute() == whole.compute()
    merged.merge(states[::-1])
    assert merged.compute() == whole.compute()
    assert whole.compute()["complete"] == 1 / 2


def test_images_are_linked_once_until_more_come(monkeypatch: pytest.MonkeyPatch) -> None:
    linked: list[int] = []

    def counting(found: Instances, min_link: float) -> Instances:
        linked.append(found.image_id)
        return link(found, min_link)

    monkeypatch.setattr(consistency, "link", counting)
    metric = Consistency(NEEDS, 0.3)
    metric.update([ImageResult(in_image(1, det(BOX), seg(BOX)))])
    first = metric.compute()
    (table,) = metric.details(0.3).tables
    assert (linked, table.rows[0][1], metric.compute()) == ([1], 1, first)
    metric.update([ImageResult(in_image(2, det(BOX), seg(BOX)))])
    (table,) = metric.details(0.3).tables
    assert (linked, table.rows[0][1]) == ([1, 1, 2], 2)
    metric.merge([])
    assert metric.details(0.3).tables == ()
    metric.merge([{"images": {3: {"det": in_image(3, det(BOX))}}}])
    (table,) = metric.details(0.3).tables
    assert (linked, table.rows[0][1]) == ([1, 1, 2, 3], 1)


def test_details_have_a_row_for_each_class() -> None:
    metric = Consistency(NEEDS, 0.3)
    metric.update([ImageResult(in_image(1, det(BOX), seg(BOX), det(FAR, label=CUP)))])
    (table,) = metric.details(0.3).tables
    assert [entry[:3] for entry in table.rows] == [("person", 1, 0.0), ("cup", 1, 0.0)]


def test_labels_are_not_read() -> None:
    """Any annotations will do: evaluation hands them over as to other evaluators."""
    metric = Consistency(NEEDS, 0.3)
    annotations: list[Annotations] = []
    metric.update([ImageResult(in_image(1, det(BOX), seg(BOX)))], annotations, [])
    assert metric.compute()["mask_in_box"] == 1
