"""Models from files of every kind: those that can learn on, and exported ones."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtvit_core.deploy.exported_file import exported_file
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.errors import ConfigError

if TYPE_CHECKING:
    from mtvit_core.deploy.exported import ExportedModel
    from mtvit_core.model.multitask_vit import MultiTaskViT


def load(
    path: str | Path,
    tasks: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
) -> "MultiTaskViT | ExportedModel":
    """Read a model: one that ``save`` wrote, a published checkpoint, or an exported one.

    Args:
        path: The file, or the folder of a run or of an export that holds it; or a published checkpoint: a
            folder, a hub id or an official file, see ``mtvit_core.convert``.
        tasks: Which of its tasks to load; all by default.
        settings: By task, settings to use in place of those it was saved with, as
            ``{"seg": {"results": ["panoptic"]}}``; its weights must still fit. An exported model has none.
        device: Where it runs: ``auto``, ``cpu``, ``cuda`` and so on; by default the CPU, and for an exported
            model the best that its runtime has.

    Returns:
        The model in evaluation mode, or the exported one. Where torch is not installed, an exported model
        comes as a ``LightModel``, whose results are plain data.

    Raises:
        CheckpointError: the file is missing, torn, lacks a task that was asked for, or does not fit.
        PluginError: a task of the checkpoint is not installed.
        ConfigError: what it was built with is unknown here, such as a setting of another version of a plugin;
            or a setting that was given is unknown or has a wrong value, or the device is not there.
    """
    exported = exported_file(path)
    if exported is not None:
        if settings:
            raise ConfigError(
                f"settings of task {next(iter(settings))!r}: {path} is an exported model, where settings are "
                "part of the graph; export again with --set, or run the checkpoint."
            )
        if find_spec("torch") is None:
            from mtvit_core.deploy.light.model import LightModel

            return LightModel(exported, tasks, device or "auto")  # type: ignore[return-value]  # see above
        from mtvit_core.deploy.exported import ExportedModel

        return ExportedModel(open_session(exported, device or "auto"), tasks)
    if find_spec("torch") is None:
        raise ConfigError(
            f"model {path}: torch runs it, which is not installed; install it, or give a model that "
            "`mtvit export` wrote for ONNX Runtime or OpenVINO."
        )
    from mtvit_core.device import pick_device
    from mtvit_core.model.checkpoint import load as load_checkpoint

    model = load_checkpoint(path, tasks, settings)
    return model if device is None else model.to(pick_device(device))
