"""The same model for other categories: it keeps what it knows by name, the rest is drawn."""

from dataclasses import replace

from torch import Tensor

from mtvit_core.arguments import require
from mtvit_core.model.assembly import TaskModules, make_task
from mtvit_core.model.categories.named_rows import Growth, Rows, carry, rows_of, unnamed
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.instance_group import GroupPlan, InstanceGroup, Queries
from mtvit_core.tasks.task import AnyTask


def with_categories(model: MultiTaskViT, categories: Categories) -> MultiTaskViT:
    """Return a model that finds other categories; it shares the backbone of the one given.

    Columns of the heads whose category has a name that the model knows keep their weights, whatever its id;
    columns of other names are drawn. So do and are keypoints. All that does not depend on categories, such as
    what finds boxes and masks, stays.

    Args:
        model: A model.
        categories: The new categories, in any order.

    Raises:
        ConfigError: these are no categories, or a task cannot be for them, as pose without keypoints.
        PluginError: a task breaks the contract.
    """
    require("with_categories: model", model, MultiTaskViT, "a model of mtvit")
    require("with_categories: categories", categories, Categories, "mtvit_core.Categories")
    tasks = [
        make_task(type(task), task.config_for(categories).model_dump(), categories)
        for task in model.task_list
    ]
    queries = _queries(model, tasks)
    person, framing = model.canvases["person"], model.framing
    changed = MultiTaskViT(model.backbone, tasks, categories, person, framing, queries).to(model.device)
    for part in (changed.tasks, changed.instance_group):
        if part is not None:
            part.to(dtype=next(model.backbone.parameters()).dtype)
    for task, before in zip(tasks, model.task_list, strict=True):
        if not unnamed(task, before):
            _carry_task(changed, task, model, before)
    if changed.instance_group is not None and model.instance_group is not None:
        group, kept = changed.instance_group, model.instance_group
        carry(*_of_group(group, categories), *_of_group(kept, model.categories))
    return changed.train(model.training)


def _carry_task(changed: MultiTaskViT, task: AnyTask, model: MultiTaskViT, before: AnyTask) -> None:
    modules: TaskModules = changed.modules_of(task.name)
    spec = replace(changed.backbone.spec, canvas=changed.canvases[task.view])
    growth = Growth.of(task, modules, spec, changed.shares(task.name))
    fresh, kept = modules.state_dict(), model.modules_of(task.name).state_dict()
    carry(fresh, rows_of(task, fresh, growth), kept, rows_of(before, kept, growth))


def _queries(model: MultiTaskViT, tasks: list[AnyTask]) -> Queries:
    """Return the plan of the instance group with the categories that its tasks now find."""
    plan = model.queries
    if not isinstance(plan, GroupPlan):
        return plan
    seen = [task for task in tasks if task.view == "image"]
    wanted = InstanceGroup.of("instance", seen, model.backbone.spec)
    assert wanted is not None
    return replace(plan, labels=wanted.plan.labels)


def _of_group(group: InstanceGroup, categories: Categories) -> tuple[dict[str, Tensor], Rows]:
    names = [categories[label].name for label in group.plan.labels]
    weights = group.state_dict()
    return weights, {key: names for key in weights if key.startswith("source.score.")}
