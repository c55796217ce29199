"""A model with fresh heads, from names."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtvit_core.arguments import listed, refuse, require, require_size, shown
from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError
from mtvit_core.model.assembly import make_task
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.trial import require_sound_plugins
from mtvit_core.plugins.registry import registry
from mtvit_core.plugins.registry import tasks as installed
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.tasks.instance_group import GroupPlan, Queries
from mtvit_core.tasks.task import Task


def make_tasks(tasks: Sequence[str] | Mapping[str, Any], categories: Categories) -> list[Task[Any, Any, Any]]:
    """Make tasks of installed plugins.

    Args:
        tasks: Names, or settings by name.
        categories: Classes of the data.

    Raises:
        PluginError: a task is named twice, not installed or broken; or any plugin is, where
            ``MTVIT_STRICT_PLUGINS`` is set.
        ConfigError: a setting is unknown or has a wrong value.
    """
    check_names("tasks", tasks)
    if not isinstance(categories, Categories):
        wanted = "Categories, as Categories((Category(1, 'cat'), Category(2, 'dog')))"
        raise refuse("categories", categories, wanted)
    if registry().strict:
        require_sound_plugins()
    settings: Mapping[str, Any] = tasks if isinstance(tasks, Mapping) else {}
    return [
        make_task(cls, settings.get(name, {}), categories) for name, cls in installed(list(tasks)).items()
    ]


def check_names(argument: str, names: object) -> None:
    """Refuse what is no list of names, nor settings by name.

    Raises:
        ConfigError: naming the argument.
    """
    if isinstance(names, str):
        raise ConfigError(f"{argument}: {names!r} is one text; give a list of names, as [{names!r}].")
    if (
        not listed(names)
        or not isinstance(names, Iterable)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ConfigError(f"{argument}: {shown(names)} is no list of names; give names, or settings by name.")


def build(
    backbone: str | Backbone = "vit_small_patch16_224",
    tasks: Sequence[str] | Mapping[str, Any] = (),
    categories: Categories = COCO_CATEGORIES,
    canvas: tuple[int, int] = (640, 640),
    person_canvas: tuple[int, int] = (256, 192),
    pretrained: bool | str | Path = False,
    queries: Queries = "task",
) -> MultiTaskViT:
    """Build a model with fresh heads.

    Args:
        backbone: Its name, see ``mtvit_core.create_backbone``, or a ``Backbone``.
        tasks: Names of installed tasks, or their settings by name, as ``{"det": {"queries": 50}}``.
        categories: Classes of the data; COCO's by default.
        canvas: Rows and columns of the canvas that whole images are fitted to; a ``Backbone`` keeps its own.
        person_canvas: Rows and columns of person crops, for top-down tasks.
        pretrained: True for timm's published weights, a path for a local file; a ``Backbone`` keeps its own.
        queries: ``task``: each task has its own queries; ``instance``: those that can share one group, whose
            queries are one object each for all of them.

    Raises:
        ConfigError: the backbone or a setting is unknown or does not fit.
        PluginError: a task is not installed or broken.
    """
    require("backbone", backbone, (str, Backbone), "the name of one, or a mtvit_core.Backbone")
    require_size("canvas", canvas)
    require_size("person_canvas", person_canvas)
    if not isinstance(queries, GroupPlan) and queries not in ("task", "instance"):
        raise ConfigError(f"queries: {shown(queries)} is none of the choices; give 'task' or 'instance'.")
    made = backbone if isinstance(backbone, Backbone) else create_backbone(backbone, canvas, pretrained)
    return MultiTaskViT(made, make_tasks(tasks, categories), categories, person_canvas, queries=queries)
