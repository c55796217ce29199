"""What one pass through the backbone is asked for by the tasks that it answers."""

from collections.abc import Callable, Sequence

from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.request import Request
from mtvit_core.errors import ConfigError
from mtvit_core.model.assembly import TaskModules, maskers_of
from mtvit_core.model.shared.decoders import Decoders
from mtvit_core.tasks.instance_group import InstanceGroup
from mtvit_core.tasks.task import AnyTask, View


def request_of(
    tasks: Sequence[AnyTask],
    modules_of: Callable[[str], TaskModules],
    shared: InstanceGroup | None,
    decoders: Decoders,
    view: View,
    proposals: bool = True,
) -> Request:
    """Return what a pass is asked for.

    Args:
        tasks: Those that it answers, all of one view; without any it is asked for the patches.
        modules_of: Returns the weights of a task by its name.
        shared: The queries that several tasks share.
        decoders: The pixel decoders of the model.
        view: What the images show.
        proposals: Whether anybody reads what is proposed at patches that become no query.
    """
    modules, names = [modules_of(task.name) for task in tasks], tuple(task.name for task in tasks)
    joins = shared is not None and view == "image" and not set(shared.members).isdisjoint(names)
    groups = [shared.group] if shared is not None and joins else []
    return Request(
        groups=[*groups, *(group for each in modules for group in each.groups)],
        maskers=maskers_of(modules),
        patches=not tasks or any(task.reads_patches for task in tasks),
        proposals=proposals,
        depths=decoders.depths(names) if view == "image" else (),
        tasks=names,
    )


def check_together(shared: InstanceGroup | None, backbone: Backbone, tasks: Sequence[str]) -> None:
    """Refuse queries that tasks share, but that no single pass of the backbone answers.

    Args:
        shared: These queries; None where each task has its own.
        backbone: The backbone.
        tasks: The tasks that see whole images.

    Raises:
        ConfigError: naming the tasks.
    """
    if shared is None or any(set(shared.members) <= set(together) for together in backbone.passes(tasks)):
        return
    raise ConfigError(
        f"model.queries is 'instance', so one pass has to answer {', '.join(shared.members)}; but in "
        f"backbone {backbone.name!r} they may own layers: set model.queries='task', or leave them out of its "
        "tasks."
    )
