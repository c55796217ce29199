"""Which plugins cannot be used in full: those that fail to load, and tasks that fail to build."""

import traceback
from functools import cache
from typing import Any

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.model.assembly import BrokenTaskError, TaskModules, check_views, make_task
from mtvit_core.plugins.origin import BrokenPlugin, PluginClass
from mtvit_core.plugins.registry import Registry, registry, require_none
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.tasks.task import Task

#: A ViT-S/16 at its usual size.
SPEC = BackboneSpec(width=384, depth=12, patch=(16, 16), canvas=(224, 224), heads=6)


def try_building(found: PluginClass[Task[Any, Any, Any]]) -> BrokenPlugin | None:
    """Build settings, task, tokens and head for COCO's categories.

    Returns:
        What failed; None where all is well, or where the task only refuses its default settings.
    """
    try:
        task = make_task(found.cls, {}, COCO_CATEGORIES)
        check_views([task])
        TaskModules(task, SPEC)
    except ConfigError:
        return None
    except BrokenTaskError as error:
        trace = "".join(traceback.format_exception(error.__cause__))
        return BrokenPlugin(*found.fields, "build", error.cause, error.remedy, found.name, trace)
    except PluginError as error:
        return BrokenPlugin(*found.fields, "build", str(error).rstrip("."), "Fix the plugin.", found.name)
    return None


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """Return every plugin that cannot be used in full, after loading all and building every task once."""
    return *registry().load_all(), *_unbuildable(registry())


@cache
def _unbuildable(found: Registry) -> tuple[BrokenPlugin, ...]:
    return tuple(broken for task in found.tasks.values() if (broken := try_building(task)) is not None)


def require_sound_plugins() -> None:
    """Refuse to go on where any plugin is broken.

    Raises:
        PluginError: naming the first one.
    """
    require_none(broken_plugins())
