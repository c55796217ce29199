"""Instance groups: one assignment of several tasks' costs, what a plan holds, and what is refused."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import mtvit_core
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import ConfigError, DivergedError, PluginError
from mtvit_core.heads.proposals import QueryRequest
from mtvit_core.losses.matching import match_all
from mtvit_core.model.add_tasks import add_tasks, with_tasks
from mtvit_core.tasks.instance_group import GroupPlan, InstanceGroup, queries_from_json, queries_to_json
from mtvit_core.tasks.joint_matching import Share, sum_costs
from support.models.group_cases import SETTINGS, images, model_of

SPEC = BackboneSpec(width=24, depth=3, patch=(16, 16), canvas=(48, 64), heads=2)


def share(cost: torch.Tensor, objects: Sequence[Sequence[int]], depths: Sequence[int] = (3,)) -> Share:
    most = cost.shape[-1]
    rows = torch.tensor([[*row, *[99] * (most - len(row))] for row in objects], dtype=torch.int64)
    return Share(cost, depths, rows, tuple(map(len, objects)))


def test_costs_of_one_object_are_added() -> None:
    """Object 0 has boxes alone, 1 both, 4 keypoints alone; rows 2 and 3 nothing."""
    first, second = torch.rand(1, 1, 5, 2), torch.rand(1, 1, 5, 2)
    both = sum_costs({"a": share(first, [[0, 1]]), "b": share(second, [[4, 1]])})
    assert both.counts == (3,)
    expected = torch.stack([first[..., 0], first[..., 1] + second[..., 1], second[..., 0]], -1)
    torch.testing.assert_close(both.cost, expected, rtol=0, atol=0)
    match = match_all({"": (both.cost, both.counts)})[""]
    own = {name: both.of(name, match, (3,)).query[0, 0].tolist() for name in "ab"}
    assert own == {"a": match.query[0, 0, :2].tolist(), "b": match.query[0, 0, [2, 1]].tolist()}


def test_the_sum_of_all_costs_is_least() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        costs = [torch.rand(1, 1, 4, 3, generator=generator) for _ in range(2)]
        rows = [torch.randperm(4, generator=generator)[:3].tolist() for _ in range(2)]
        both = sum_costs({str(i): share(c, [r]) for i, (c, r) in enumerate(zip(costs, rows, strict=True))})
        match = match_all({"": (both.cost, both.counts)})[""]
        found = sum(
            float(cost[0, 0, query, target])
            for i, cost in enumerate(costs)
            for target, query in enumerate(both.of(str(i), match, (3,)).query[0, 0].tolist())
        )
        ways = itertools.permutations(range(4), both.counts[0])
        objects = sorted({row for own in rows for row in own})
        least = min(
            sum(
                float(cost[0, 0, way[objects.index(row)], target])
                for cost, own in zip(costs, rows, strict=True)
                for target, row in enumerate(own)
            )
            for way in ways
        )
        assert found == pytest.approx(least, abs=1e-5)


def test_images_and_depths_of_their_own() -> None:
    """The second task reads the last depth alone; the second image has no object of the first task."""
    first, second = torch.rand(2, 2, 5, 2), torch.rand(1, 2, 5, 1)
    both = sum_costs({"a": share(first, [[0, 2], []], (2, 3)), "b": share(second, [[2], [1]])})
    assert both.counts == (2, 1)
    assert both.depths == (2, 3)
    match = match_all({"": (both.cost, both.counts)})[""]
    own, other = both.of("a", match, (2, 3)), both.of("b", match, (3,))
    assert own.matched.tolist() == [[[True, True], [False, False]]] * 2
    alone = match_all({"": (first[:1, :1], (2,))})[""]
    assert own.query[0, 0].tolist() == alone.query[0, 0].tolist()
    assert other.query[0, 0, 0] == own.query[1, 0, 1]
    assert other.query[0, 1, 0] == second[0, 1, :, 0].argmin()


def test_nothing_there() -> None:
    both = sum_costs(
        {"a": share(torch.rand(1, 2, 5, 0), [[], []]), "b": share(torch.rand(1, 2, 5, 1), [[], []])}
    )
    match = match_all({"": (both.cost, both.counts)})[""]
    assert both.counts == (0, 0)
    assert both.of("a", match, (3,)).matched.shape == (1, 2, 0)
    assert not both.of("b", match, (3,)).matched.any()


def test_a_plan_serves_every_task() -> None:
    wide, long = QueryRequest(9, 2, (3,), (0,)), QueryRequest(5, 1, (2, 3), (1, 3))
    assert GroupPlan.of({"a": wide, "b": long}) == GroupPlan(9, 1, (0, 1, 3), "isolated")
    group = InstanceGroup(GroupPlan(9, 1, (0, 1, 3), "isolated"), {"a": wide, "b": long}, SPEC)
    assert (group.group.count, group.group.enter, group.group.layers) == (9, 1, (2, 3))


def test_fewer_tokens_and_one_query_for_all() -> None:
    model = model_of("det", "seg", "pose")
    assert model.instance_group is not None
    assert model.instance_group.plan == GroupPlan(5, 0, (0, 1), "isolated")
    assert set(model.instance_group.members) == {"det", "seg", "pose"}
    predictions = model(images())
    assert torch.equal(predictions["det"].pick.index, predictions["pose"].pick.index)
    assert predictions["pose"].pick.logits.shape[-1] == 1  # only people have keypoints
    assert torch.equal(predictions["det"].pick.logits[..., :1], predictions["pose"].pick.logits)
    assert [len(predictions[name].logits[0, 0]) for name in SETTINGS] == [5, 5, 5]


def test_results_are_one_row_for_each_query_and_class() -> None:
    model = model_of("det", "seg", "pose", det={"nms": 1.0}, seg={"nms": 1.0}, pose={"nms": 1.0})
    found = model.predict(images(1))[0].instances
    cups, people = found.labels == 1, found.labels == 0
    assert people.sum() == cups.sum() == 5
    assert all(tasks == "det+seg" for tasks, cup in zip(found.tasks, cups, strict=True) if cup)
    assert all(tasks == "det+seg+pose" for tasks, cup in zip(found.tasks, cups, strict=True) if not cup)
    assert found.keypoints[cups].isnan().all()
    assert not found.keypoints[people].isnan().any()
    assert all(len({part.query for part in link.findings}) == 1 for link in found.links if link)


def test_tasks_that_cannot_join_keep_their_own() -> None:
    model = model_of("det", "seg", "pose", det={"variant": "yolos"}, pose={"variant": "vitpose"})
    assert model.shares("seg")
    assert not model.shares("det")
    assert not model.shares("pose")
    assert [group.name for group in model.modules_of("det").groups] == ["det"]
    found = model.predict(images(1), link=False)[0].instances
    queries = dict(zip(found.tasks, found.queries, strict=True))
    assert queries["det"] is None
    assert queries["seg"] is not None


def test_without_a_group_no_query_is_told() -> None:
    found = model_of("det", "seg", queries="task").predict(images(1))[0].instances
    assert found.queries == ()


@pytest.mark.parametrize("names", [("det",), ("pose",), ("seg", "pose"), ("det", "seg", "pose")])
def test_a_part_of_a_saved_model_answers_as_the_whole(names: tuple[str, ...], tmp_path: Path) -> None:
    model = model_of("det", "seg", "pose")
    mtvit_core.save(model, tmp_path / "model.safetensors")
    part = mtvit_core.load(tmp_path / "model.safetensors", names)
    assert part.queries == model.queries
    whole, alone = model(images()), part(images())
    for name in names:
        assert torch.equal(whole[name].logits, alone[name].logits)
        assert torch.equal(whole[name].boxes, alone[name].boxes)


def test_a_part_without_members_has_no_group(tmp_path: Path) -> None:
    model = model_of("det", "pose", pose={"variant": "vitpose"})
    mtvit_core.save(model, tmp_path / "model.safetensors")
    assert mtvit_core.load(tmp_path / "model.safetensors", ["pose"]).instance_group is None


def test_more_tasks_join_the_group_that_is_there() -> None:
    model = model_of("det", "seg")
    more = add_tasks(model, {"pose": SETTINGS["pose"]})
    assert more.shares("pose")
    assert more.queries == model.queries
    assert torch.equal(model(images())["det"].boxes, more(images())["det"].boxes)
    assert more.instance_group is not None
    assert model.instance_group is not None
    assert more.instance_group.source is model.instance_group.source
    with pytest.raises(ConfigError) as caught:
        add_tasks(model, {"pose": {"queries": 9, "blocks": 2}})
    assert str(caught.value) == (
        "tasks.pose: it wants 9 isolated queries from block 1 on, but shares the model's instance group, "
        "which has 5 isolated ones from block 0 on and stays as it is; set as much, or less."
    )


def test_other_settings_of_a_member_leave_the_queries() -> None:
    model = model_of("det", "seg")
    changed = with_tasks(model, {"det": {"nms": 0.5, "blocks": 2}, "seg": {}})
    assert torch.equal(model(images())["seg"].mask_logits, changed(images())["seg"].mask_logits)
    with pytest.raises(ConfigError, match=r"tasks\.det: it wants 7 isolated queries from block 1"):
        with_tasks(model, {"det": {"queries": 7, "blocks": 2}, "seg": {}})


def test_whose_weights_are_whose() -> None:
    owners = set(model_of("det", "seg").parameter_owner().values())
    assert owners == {"backbone", "instance_group", "det", "seg"}


def test_no_task_can_join() -> None:
    with pytest.raises(ConfigError) as caught:
        model_of("det", "seg", det={"variant": "yolos"}, seg={"variant": "eomt"})
    assert str(caught.value) == (
        'model.queries is "instance", but no task of the model (of whole images: det, seg) can join a group '
        'with its settings; set model.queries = "task", or use the default variants.'
    )


def test_visibility_must_be_one() -> None:
    assert model_of("det", "seg", det={"visibility": "joint"}, seg={"visibility": "joint"}).shares("det")
    with pytest.raises(ConfigError) as caught:
        model_of("det", "seg", det={"visibility": "joint"})
    assert str(caught.value) == (
        "model.queries: task 'det' wants joint queries and task 'seg' isolated ones; give both the same "
        'visibility, or set model.queries = "task".'
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            QueryRequest(4, 1, (2,), (0,)),
            "task 'a': it joins a group that enters at block 1 at depths (2,); give rising depths that end "
            "at 3, the output.",
        ),
        (
            QueryRequest(4, 1, (3,), (1, 0)),
            "task 'a': it joins a group for the categories (1, 0); give indices, rising, each once.",
        ),
    ],
)
def test_a_task_joins_in_a_way_that_is_none(asked: QueryRequest, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        InstanceGroup(GroupPlan(4, 1, (0, 1), "isolated"), {"a": asked}, SPEC)
    assert str(caught.value) == message


def two_members() -> InstanceGroup:
    request = QueryRequest(4, 1, (2, 3), (0,))
    return InstanceGroup(GroupPlan(4, 1, (0,), "isolated"), {"a": request, "b": request}, SPEC)


class Objects:
    """Targets of one object."""

    counts = (1,)
    labelled = torch.ones(1, dtype=torch.bool)
    objects = torch.zeros(1, 1, dtype=torch.int64)


def test_a_member_without_cost_or_objects() -> None:
    cost = (torch.rand(1, 1, 4, 1), (1,))
    with pytest.raises(PluginError) as caught:
        two_members().match({"a": cost}, {"a": Objects(), "b": Objects()})
    assert str(caught.value) == (
        "task 'b': it joins an instance group, but has no cost; add it, or let `query_request` return None."
    )
    bare = type("Bare", (), {"counts": (1,), "labelled": Objects.labelled})()
    with pytest.raises(PluginError, match="but its targets have no `objects`; add it"):
        two_members().match({"a": cost, "b": cost}, {"a": Objects(), "b": bare})


def test_a_cost_of_other_depths_or_of_no_number() -> None:
    cost = torch.rand(3, 1, 4, 1)
    with pytest.raises(PluginError) as caught:
        two_members().match(dict.fromkeys("ab", (cost, (1,))), {n: Objects() for n in "ab"})
    assert str(caught.value) == (
        "task 'a': its cost has 3 layers, but it joins its group at depths 2, 3; give one layer for each "
        "depth."
    )
    with pytest.raises(DivergedError, match=r"matching of 'instance \(a, b\)'"):
        two_members().match(dict.fromkeys("ab", (cost[:1] * torch.nan, (1,))), {n: Objects() for n in "ab"})


@pytest.mark.parametrize("queries", ["task", "instance", GroupPlan(5, 1, (0, 2), "joint")])
def test_queries_are_plain_data(queries: Any) -> None:
    assert queries_from_json(json.loads(json.dumps(queries_to_json(queries)))) == queries
