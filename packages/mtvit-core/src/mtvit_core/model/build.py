"""A model with fresh heads, from names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtvit_core.backbones.interface import Backbone
from mtvit_core.model.assembly import make_task
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.trial import require_sound_plugins
from mtvit_core.plugins.registry import registry
from mtvit_core.plugins.registry import tasks as installed
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.tasks.instance_group import Queries
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
    if registry().strict:
        require_sound_plugins()
    settings: Mapping[str, Any] = tasks if isinstance(tasks, Mapping) else {}
    return [
        make_task(cls, settings.get(name, {}), categories) for name, cls in installed(list(tasks)).items()
    ]


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
    made = backbone if isinstance(backbone, Backbone) else create_backbone(backbone, canvas, pretrained)
    return MultiTaskViT(made, make_tasks(tasks, categories), categories, person_canvas, queries=queries)
