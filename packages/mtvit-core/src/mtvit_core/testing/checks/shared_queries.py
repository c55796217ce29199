"""Checks of tasks that can share their queries with others."""

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.heads.proposals import PickedQueries
from mtvit_core.losses.perfect import SURE
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks import contract
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.instance_group import NAME
from mtvit_core.tasks.task import Task
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, explained, supervised
from mtvit_core.testing.checks.batches import SAME
from mtvit_core.testing.companion_task import Companion, CompanionConfig
from mtvit_core.testing.fields import tensor_fields
from mtvit_core.testing.sample import Sample, take

#: Most that a task may be sure of an object once it is told that there is none.
DOUBT = 1e-2


def shared_queries(case: Case) -> None:
    """A task that joins an instance group answers there as alone, and takes its match and what is agreed."""
    own = case.stirred()
    wanted = case.task.query_request(own.backbone.spec)
    if wanted is None:
        return
    alone = _grouped(case, own)
    if all(isinstance(source, PickedQueries) for source in own.modules_of(case.task.name).tokens.values()):
        _same_answers(case, own, alone)
    _tells_queries(case, alone)
    _takes_objects(case, alone, len(wanted.labels))
    config = CompanionConfig(**{**asdict(wanted), "count": max(wanted.count, _most(case.sample))})
    both = _grouped(case, own, Companion(config, case.categories))
    first, second = (_losses(case, both, sample) for sample in (case.sample, _reordered(case.sample)))
    for name, value in first.items():
        if abs(value.item() - second[name].item()) > SAME * max(1e-3, abs(value.item())):
            raise Breach(
                f"loss term {name!r} changes from {value.item():.6g} to {second[name].item():.6g} with the "
                "order of the annotations, although another task of the group says which query is which "
                "object",
                "let `objects` of the targets be the row of each target in `annotations`, crowds counted",
            )


def _grouped(case: Case, own: MultiTaskViT, *others: Task[Any, Any, Any]) -> MultiTaskViT:
    """Build a model with an instance group; weights that the one without has too are the same."""
    with explained("a model with an instance group", "see `Task.query_request`"):
        model = MultiTaskViT(own.backbone, [case.task, *others], case.categories, queries="instance")
    assert model.instance_group is not None
    modules = own.modules_of(case.task.name)
    model.modules_of(case.task.name).head.load_state_dict(modules.head.state_dict())
    for source in modules.tokens.values():
        if isinstance(source, PickedQueries):
            model.instance_group.source.load_state_dict(source.state_dict())
    return model.eval()


def _same_answers(case: Case, own: MultiTaskViT, alone: MultiTaskViT) -> None:
    images = len(case.sample)
    with explained("the head on the queries of a group", "read queries and picks by the task's name alone"):
        before, after = (
            tensor_fields(case.predict(model, case.sample), "predictions", images) for model in (own, alone)
        )
    for a, b in zip(before, after, strict=True):
        if a.value.shape != b.value.shape or not torch.equal(a.value, b.value):
            raise Breach(
                f"{a.name} is another with the queries of the group {NAME!r} than with the task's own, of "
                "the same weights",
                "let `tokens` give `picked_group(self.name, self.query_request(backbone), backbone.width)`",
            )
    before_losses, after_losses = (_losses(case, model, case.sample) for model in (own, alone))
    for name, value in before_losses.items():
        if abs(value.item() - after_losses[name].item()) > SAME * max(1e-3, abs(value.item())):
            raise Breach(
                f"loss term {name!r} is {after_losses[name].item():.6g} with the queries of the group and "
                f"{value.item():.6g} with the task's own, of the same weights",
                "give `objects` one row for each target, in the order of the other tensors",
            )


def _tells_queries(case: Case, model: MultiTaskViT) -> None:
    predictions = case.predict(model, case.sample)
    with torch.inference_mode():
        results = contract.decode(case.task, predictions, case.sample.meta, shares=True)
    for result in results:
        found = result.instances
        pairs = list(zip(found.queries, found.labels.tolist(), strict=False))
        if len(found.queries) != len(found) or None in found.queries or len(set(pairs)) < len(pairs):
            raise Breach(
                f"a result has {len(found)} objects and tells {len(set(found.queries))} queries",
                "set `queries` of the instances: the query of each object, each with a class once",
            )


def _takes_objects(case: Case, model: MultiTaskViT, classes: int) -> None:
    """What a task says of its queries it can also be told; it says and decodes that from then on."""
    predictions, task = case.predict(model, case.sample), case.task
    said = task.query_objects(predictions)
    if said is None:
        return
    images, queries = len(case.sample), said.boxes.shape[1]
    shapes = tuple(said.logits.shape), tuple(said.boxes.shape)
    if shapes != ((images, queries, classes), (images, queries, 4)):
        raise Breach(
            f"query_objects of {images} images and {classes} categories have logits {shapes[0]} and boxes "
            f"{shapes[1]}",
            "give those of the output, logits with a column for each of the categories of `query_request`",
        )
    doubt = QueryObjects(torch.full_like(said.logits, -SURE), said.boxes.flip(1))
    with explained("with_query_objects", "return predictions of the same form"):
        told = task.with_query_objects(predictions, doubt)
    again = task.query_objects(told)
    with torch.inference_mode():
        results = contract.decode(task, told, case.sample.meta, shares=True)
    best = max((float(found.scores.max()) for found in results if len(found)), default=0.0)
    deaf = again is None or not (
        torch.equal(again.logits, doubt.logits) and torch.equal(again.boxes, doubt.boxes)
    )
    if deaf or best > DOUBT:
        raise Breach(
            f"told that no query is anything, the task still finds objects of a score of {best:.2g}, or says "
            "something else than it was told",
            "let `with_query_objects` replace what `query_objects` gives and `decode` reads",
        )


def _losses(case: Case, model: MultiTaskViT, sample: Sample) -> dict[str, Tensor]:
    torch.manual_seed(0)
    with supervised(model), torch.no_grad():
        return case.losses(model, sample)


def _most(sample: Sample) -> int:
    return max(len(one) for one in sample.annotations)


def _reordered(sample: Sample) -> Sample:
    """Return the same truth in the opposite order, behind a crowd that nobody is to learn."""
    changed = []
    for one in sample.annotations:
        rows = list(reversed(range(len(one))))
        again = take(one, [*rows[:1], *rows])
        if rows:
            again = replace(again, is_crowd=torch.cat([torch.tensor([True]), again.is_crowd[1:]]))
        changed.append(again)
    return replace(sample, annotations=tuple(changed))
