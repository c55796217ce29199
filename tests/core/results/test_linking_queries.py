"""Linking by query: what was read from one query of an instance group is one object."""

import torch

from mtvit_core.results.linking import link
from mtvit_core.structures.instances import Instances, concatenate
from support.models.link_cases import BOX, CUP, FAR, NEAR, row

MIDDLE = [(30.0, 26.0, 0.9), (30.0, 50.0, 0.9), (30.0, 74.0, 0.9)]


def det(box: tuple[float, float, float, float], query: int | None, label: int = 0) -> Instances:
    return row("det", box, label=label, query=query)


def seg(box: tuple[float, float, float, float], query: int | None, label: int = 0) -> Instances:
    return row("seg", box, label=label, mask=box, query=query)


def test_rows_of_one_query_are_one_object_however_little_they_overlap() -> None:
    found = link(concatenate([det(BOX, 4), seg(FAR, 4)]))
    assert found.tasks == ("det+seg",)
    (one,) = found.links
    assert one is not None
    assert one.score == 0  # it tells how well they agree all the same


def test_the_query_goes_before_the_overlap() -> None:
    found = link(concatenate([det(BOX, 4), det(NEAR, 5), seg(NEAR, 4), seg(BOX, 5)]))
    assert [[part.query for part in one.findings] for one in found.links if one] == [[4, 4], [5, 5]]
    assert [part.box for one in found.links if one for part in one.findings] == [BOX, NEAR, NEAR, BOX]


def test_what_no_query_joins_is_linked_by_overlap() -> None:
    """One task dropped query 5 as a repeat of 4, the other 4 as a repeat of 5: an object like any other."""
    found = link(concatenate([det(BOX, 4), seg(NEAR, 5)]))
    assert found.tasks == ("det+seg",)
    other = link(concatenate([det(BOX, 4), row("own", NEAR, mask=NEAR)]))
    assert other.tasks == ("det+own",)


def test_two_masks_of_one_query_stay_two_rows() -> None:
    """An object keeps one mask: joined, the other would be lost."""
    other = row("own", NEAR, mask=NEAR, query=4)
    found = link(concatenate([det(BOX, 4), seg(BOX, 4), other]))
    assert sorted(found.tasks) == ["det+own", "seg"]
    assert {found.of("seg").rles, found.of("own").rles} == {seg(BOX, 4).rles, other.rles}


def test_one_query_of_two_classes_is_two_objects() -> None:
    found = link(concatenate([det(BOX, 4), det(BOX, 4, CUP), seg(BOX, 4, CUP)]))
    assert found.tasks == ("det", "det+seg")
    assert found.labels.tolist() == [0, CUP]


def test_the_score_of_a_link_is_that_of_overlap() -> None:
    pose = row("pose", BOX, points=MIDDLE, query=1)
    (by_query,) = link(concatenate([det(BOX, 1), seg(NEAR, 1), pose])).links
    (by_overlap,) = link(
        concatenate([det(BOX, None), seg(NEAR, None), row("pose", BOX, points=MIDDLE)])
    ).links
    assert by_query is not None
    assert by_overlap is not None
    assert by_query.score == by_overlap.score


def test_apart_again_every_row_has_its_query() -> None:
    rows = [det(BOX, 4), det(FAR, 7), seg(NEAR, 5), row("own", FAR, mask=FAR)]
    found = link(concatenate(rows))
    assert found.tasks == ("det+seg", "det+own")
    again = found.apart()
    assert dict(zip(again.tasks, again.queries, strict=True)) == {"det": 7, "seg": 5, "own": None}
    assert again.queries == (4, 5, 7, None)
    assert link(found).tasks == found.tasks


def test_selecting_keeps_queries() -> None:
    found = concatenate([det(BOX, 4), det(FAR, 7), row("own", FAR)])
    assert found.queries == (4, 7, None)
    assert found[torch.tensor([2, 1])].queries == (None, 7)
    assert concatenate([row("own", FAR), row("own", BOX)]).queries == ()
