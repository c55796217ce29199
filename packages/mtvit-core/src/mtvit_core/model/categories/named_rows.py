"""What the rows of a task's weights stand for, and how rows go from one model to another by name.

declared   as ``Task.named_rows`` says
grown      W has one row more for one category more: a row per category in order, then others
whole      any other weight of the same shape with one category more
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import MtvitError, PluginError
from mtvit_core.model.assembly import TaskModules, make_task
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.tasks.task import AnyTask

#: Names of rows by weight; None where it is not known what they stand for, absent where for nothing.
Rows = Mapping[str, Sequence[Hashable] | None]


@dataclass(frozen=True)
class Growth:
    """How the weights of a task change with one category more.

    Attributes:
        grown: Weights with one row more.
        unknown: Weights that change otherwise; all, where the task refuses one category more.
    """

    grown: frozenset[str]
    unknown: frozenset[str]

    @classmethod
    def of(cls, task: AnyTask, modules: TaskModules, spec: BackboneSpec, joins: bool) -> "Growth":
        """Build the task once more, for one category more."""
        own = {key: tuple(value.shape) for key, value in modules.state_dict().items()}
        more = _one_more(task.categories)
        try:
            with torch.random.fork_rng(devices=[]):
                larger = TaskModules(make_task(type(task), task.config.model_dump(), more), spec, joins)
        except MtvitError:
            return cls(frozenset(), frozenset(own))
        shapes = {key: tuple(value.shape) for key, value in larger.state_dict().items()}
        changed = {key for key in own if own[key] != shapes.get(key)}
        grown = {key for key in changed if own[key] and shapes.get(key) == (own[key][0] + 1, *own[key][1:])}
        return cls(frozenset(grown), frozenset(changed - grown))


def _one_more(categories: Categories) -> Categories:
    taken = {category.name for category in categories}
    name = next(name for i in range(len(taken) + 1) if (name := f"category {i}") not in taken)
    more = Category(1 + max(c.id for c in categories), name)
    return replace(categories, items=(*categories.items, more))


def rows_of(task: AnyTask, weights: Mapping[str, Tensor], growth: Growth) -> Rows:
    """Return what the rows of each weight of a task stand for.

    Raises:
        PluginError: it declares another number of rows than a weight has.
    """
    declared = task.named_rows()
    names: list[Hashable] = [category.name for category in task.categories]
    found: dict[str, Sequence[Hashable] | None] = {}
    for key, value in weights.items():
        said = next((rows for module, rows in declared.items() if f"{key}.".startswith(f"{module}.")), None)
        if said is not None:
            if len(said) != len(value):
                raise PluginError(
                    f"task {task.name!r}: named_rows names {len(said)} rows of {key!r}, which has "
                    f"{len(value)}; name each row."
                )
            found[key] = said
        elif key in growth.unknown:
            found[key] = None
        elif key in growth.grown:
            found[key] = [*names, *range(len(value) - len(names))]
    return found


@torch.no_grad()
def carry(fresh: Mapping[str, Tensor], rows: Rows, kept: Mapping[str, Tensor], kept_rows: Rows) -> None:
    """Copy into fresh weights what other weights hold for the same names; what they lack stays as drawn.

    Args:
        fresh: Weights to fill, by name.
        rows: What their rows stand for.
        kept: The other weights.
        kept_rows: What the rows of these stand for.
    """
    for key, value in fresh.items():
        old = kept.get(key)
        if old is None or old.shape[1:] != value.shape[1:]:
            continue
        names, old_names = rows.get(key, ()), kept_rows.get(key, ())
        if names is None or old_names is None:
            continue
        if not names and not old_names:
            if old.shape == value.shape:
                value.copy_(old)
            continue
        place = {name: row for row, name in reversed(list(enumerate(old_names)))}
        both = [(row, place[name]) for row, name in enumerate(names) if name in place and name is not None]
        if both:
            to, from_ = (torch.tensor(side) for side in zip(*both, strict=True))
            value[to] = old[from_].to(value.dtype)


def unnamed(task: AnyTask, before: AnyTask) -> bool:
    """Tell whether a task that says nothing of its rows reads keypoints that have changed."""
    if "keypoints" not in task.needs or task.named_rows():
        return False
    return _keypoints(task.categories) != _keypoints(before.categories)


def _keypoints(categories: Categories) -> list[Any]:
    return [category.keypoints and replace(category.keypoints, sigmas=()) for category in categories]
