"""Instance groups: one token group that several heads read, so that a query is one object for all of them.

    query        picked once, for every class that any of the heads finds
    cost         C(q, o) = sum over the heads that have object o among their targets of C_head(q, o)
    assignment   one per image and depth, of the least sum of C; each head's match is its share of it

    results      of one class and one box for all heads, see ``mtvit_core.tasks.consensus``

A head needs not know of the group: queries and proposals stand under the task's own name in the features it
is given, the proposals with the classes of the task alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Union

from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import QuerySource, TokenGroup, Visibility
from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.heads.proposals import QueryRequest, picked_group
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.tasks.consensus import QueryObjects, consensus
from mtvit_core.tasks.joint_matching import Share, sum_costs
from mtvit_core.tasks.task import SharedTargets, Task

#: How a model's tasks get their queries: each has its own, or those that can share; or as a plan says.
Queries = Union[Literal["task", "instance"], "GroupPlan"]
#: Name of the group among the token groups and matches of a model.
NAME = "instance"


@dataclass(frozen=True)
class GroupPlan:
    """What the weights of a group depend on; kept in checkpoints, so that parts of a model load as they were.

    Attributes:
        count: Queries Q.
        enter: Index of the block before which they join.
        labels: Categories that are searched for, as indices; the columns of the proposals' logits.
        visibility: Who sees the queries, see ``TokenGroup``.
    """

    count: int
    enter: int
    labels: tuple[int, ...]
    visibility: Visibility

    @classmethod
    def of(cls, requests: Mapping[str, QueryRequest]) -> "GroupPlan":
        """Return what serves every task: the most queries, the earliest entry, all classes.

        Raises:
            ConfigError: some are to be joint and some isolated.
        """
        seen = {request.visibility: name for name, request in requests.items()}
        if len(seen) > 1:
            raise ConfigError(
                f"model.queries: task {seen['joint']!r} wants joint queries and task {seen['isolated']!r} "
                'isolated ones; give both the same visibility, or set model.queries = "task".'
            )
        each = requests.values()
        return cls(
            count=max(request.count for request in each),
            enter=min(request.enter for request in each),
            labels=tuple(sorted({label for request in each for label in request.labels})),
            visibility=next(iter(seen)),
        )


def queries_to_json(queries: Queries) -> Any:
    """Return what a model's queries are as plain data."""
    return asdict(queries) if isinstance(queries, GroupPlan) else queries


def queries_from_json(data: Any) -> Queries:
    """Return what ``queries_to_json`` was given."""
    if not isinstance(data, dict):
        return "instance" if data == "instance" else "task"
    return GroupPlan(data["count"], data["enter"], tuple(data["labels"]), data["visibility"])


class InstanceGroup(nn.Module):
    """The tokens of a group, and which tasks read them.

    Attributes:
        plan: What its weights depend on.
        members: What each task reads of it, by the name of the task.
        group: The token group.
        source: What picks the queries.
    """

    def __init__(self, plan: GroupPlan, members: Mapping[str, QueryRequest], backbone: BackboneSpec) -> None:
        """Build the source of the queries.

        Args:
            plan: Sizes.
            members: What each task wants, by name.
            backbone: Width and depth.

        Raises:
            PluginError: a task reads no depth of the group, or finds a category that the group does not.
        """
        super().__init__()
        self.plan, depth = plan, backbone.depth
        self.members = {
            name: replace(request, layers=tuple(i for i in request.layers if plan.enter <= i <= depth))
            for name, request in members.items()
        }
        for name, request in self.members.items():
            _check(name, request, plan, depth)
        self._columns = {
            name: [plan.labels.index(label) for label in request.labels] for name, request in members.items()
        }
        layers = {layer for request in self.members.values() for layer in request.layers}
        shared = QueryRequest(plan.count, plan.enter, tuple(sorted(layers)), plan.labels, plan.visibility)
        self.group: TokenGroup = picked_group(NAME, shared, backbone.width)
        self.source = self.group.source

    @classmethod
    def of(
        cls, queries: "Queries", tasks: Sequence[Task[Any, Any, Any]], backbone: BackboneSpec
    ) -> "InstanceGroup | None":
        """Return the group of those tasks that can join one; None where no group is wanted.

        Args:
            queries: ``task``: none is wanted; ``instance``: one that fits the tasks; or the plan of one.
            tasks: Those that see whole images.
            backbone: Width, depth and canvas.

        Raises:
            ConfigError: a group is wanted, but no task can join one, or their settings contradict each other;
                or a task wants more than a group that is planned has.
            PluginError: a task joins in a way that is none.
        """
        if queries == "task":
            return None
        wanted = {
            task.name: request for task in tasks if (request := task.query_request(backbone)) is not None
        }
        if isinstance(queries, GroupPlan):
            fits = {n: j for n, j in wanted.items() if set(j.labels) <= set(queries.labels)}
            for name, request in fits.items():
                _check_fits(name, request, queries)
            return cls(queries, fits, backbone) if fits else None
        if not wanted:
            names = ", ".join(task.name for task in tasks) or "none"
            raise ConfigError(
                f'model.queries is "instance", but no task of the model (of whole images: {names}) can join '
                'a group with its settings; set model.queries = "task", or use the default variants.'
            )
        return cls(GroupPlan.of(wanted), wanted, backbone)

    def adopt(self, source: QuerySource) -> None:
        """Take the weights of another group of the same plan."""
        self.source, self.group = source, replace(self.group, source=source)

    def match(
        self, costs: Mapping[str, tuple[Tensor, tuple[int, ...]]], targets: Mapping[str, Any]
    ) -> dict[str, Match]:
        """Match all tasks of a view, those of the group together.

        Args:
            costs: Cost L B Q M and number of targets of each image, by task.
            targets: Targets by task.

        Raises:
            PluginError: a task of the group has no cost, or its targets tell no objects.
            DivergedError: a cost holds NaN.
        """
        members = [name for name in self.members if name in targets]
        if not members:
            return match_all(costs)
        for name in members:
            _check_targets(name, name in costs, targets[name])
        depths = {name: self.depths(name, len(costs[name][0])) for name in members}
        shared = sum_costs(
            {n: Share(costs[n][0], depths[n], targets[n].objects, costs[n][1]) for n in members}
        )
        together = f"{NAME} ({', '.join(members)})"
        own = {name: cost for name, cost in costs.items() if name not in members}
        matches = match_all({**own, together: (shared.cost, shared.counts)})
        common = matches.pop(together)
        return {**matches, **{name: shared.of(name, common, depths[name]) for name in members}}

    def consensus(
        self, tasks: Sequence[Task[Any, Any, Any]], predictions: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return predictions whose queries have one class and one box for all tasks that say some.

        Args:
            tasks: Those of the view.
            predictions: Of their heads, by task.

        Raises:
            PluginError: what a task says is not of the shape that its queries and categories have.
        """
        members = {task.name: task for task in tasks if task.name in self.members}
        offers = {name: task.query_objects(predictions[name]) for name, task in members.items()}
        said = {name: objects for name, objects in offers.items() if objects is not None}
        if len(said) < 2:
            return predictions
        queries = next(iter(said.values())).logits.shape[:2]
        for name, objects in said.items():
            _check_objects(name, objects, (*queries, len(self._columns[name])))
        agreed = consensus(said, self._columns)
        told = {name: members[name].with_query_objects(predictions[name], agreed[name]) for name in agreed}
        return {**predictions, **told}

    def seen_by(self, task: str, features: Features) -> Features:
        """Return the features as a task sees them: the group has its name."""
        return features.under(NAME, task, self._columns[task])

    def depths(self, task: str, count: int) -> Sequence[int]:
        """Return the depths that so many supervised layers of a task's cost are of.

        Raises:
            PluginError: it has more or fewer layers than the task reads.
        """
        layers = self.members[task].layers
        if count not in (1, len(layers)):
            raise PluginError(
                f"task {task!r}: its cost has {count} layers, but it joins its group at depths "
                f"{', '.join(map(str, layers))}; give one layer for each depth."
            )
        return layers[-count:]


def _check_fits(task: str, request: QueryRequest, plan: GroupPlan) -> None:
    if request.count > plan.count or request.enter < plan.enter or request.visibility != plan.visibility:
        raise ConfigError(
            f"tasks.{task}: it wants {request.count} {request.visibility} queries from block {request.enter} "
            f"on, but shares the model's instance group, which has {plan.count} {plan.visibility} ones from "
            f"block {plan.enter} on and stays as it is; set as much, or less."
        )


def _check_objects(task: str, objects: QueryObjects, shape: tuple[int, int, int]) -> None:
    found = tuple(objects.logits.shape), tuple(objects.boxes.shape)
    if found != (shape, (*shape[:2], 4)):
        raise PluginError(
            f"task {task!r}: its query_objects have logits {found[0]} and boxes {found[1]}, but its group "
            f"has {shape} of images, queries and categories of `query_request`; give those of the output in "
            "that form."
        )


def _check_targets(task: str, has_cost: bool, targets: Any) -> None:
    lacking = "has no cost" if not has_cost else "its targets have no `objects`"
    if not has_cost or not isinstance(targets, SharedTargets):
        raise PluginError(
            f"task {task!r}: it joins an instance group, but {lacking}; add it, or let `query_request` "
            "return None."
        )


def _check(task: str, request: QueryRequest, plan: GroupPlan, depth: int) -> None:
    if not request.layers or request.layers[-1] != depth or list(request.layers) != sorted(request.layers):
        raise PluginError(
            f"task {task!r}: it joins a group that enters at block {plan.enter} at depths "
            f"{request.layers}; give rising depths that end at {depth}, the output."
        )
    if not request.labels or list(request.labels) != sorted(set(request.labels)):
        raise PluginError(
            f"task {task!r}: it joins a group for the categories {request.labels}; give indices, rising, "
            "each once."
        )
