"""Weights and all that is needed to use them in one safetensors file; nothing in it can execute."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mtvit_core.arguments import as_path, require_table
from mtvit_core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    MtvitError,
    PluginError,
    making_sense_of,
)
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import check_names, make_tasks
from mtvit_core.model.convert import read_published
from mtvit_core.model.model_file import check_target, own_file, unwrapped, what_else
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.shared.decoders import PREFIX
from mtvit_core.model.writing import FORMAT, write_model
from mtvit_core.published.source import PICKLES, fetch, is_hub_id
from mtvit_core.state_dicts import check_depth, differences, shapes_of
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import framing_from_json
from mtvit_core.tasks.instance_group import queries_from_json

#: What every header holds.
HEADER = ("backbone", "canvases", "tasks", "categories")


def save(model: nn.Module, path: str | Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write weights, backbone, task settings and categories to one file, replacing it only when complete.

    Args:
        model: The model; what compiles, distributes or averages it is taken off, see ``unwrapped``.
        path: File to write, usually ``model.safetensors``.
        extra: Plain data to keep with it, such as the training step.

    Raises:
        CheckpointError: it is no model, the folder does not exist, the name does not end in
            ``.safetensors``, ``extra`` is no plain data, or the file cannot be written.
    """
    target = as_path("save: path", path, CheckpointError)
    require_table("save: extra", {} if extra is None else extra, "plain data by name")
    check_target(target)
    write_model(unwrapped(model), target, extra or {})


def read_header(path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself.

    Raises:
        CheckpointError: the file is missing, torn, or not an mtvit checkpoint of this format.
    """
    source = own_file(path) or Path(path)
    if not source.is_file():
        raise CheckpointError(f"checkpoint {source}: no such file; give the path of a model.safetensors.")
    try:
        with safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as cause:
        what = what_else(source)
        if what:
            raise CheckpointError(f"checkpoint {source}: this is {what}; give a model's file.") from None
        raise CheckpointError(f"checkpoint {source}: not a readable safetensors file ({cause}).") from None
    header = _parsed(metadata.get("mtvit", ""))
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint {source}: its format is {header.get('format')!r}, this version reads {FORMAT!r}; "
            "it was not written by mtvit, or by another version."
        )
    missing = [key for key in HEADER if key not in header]
    if missing:
        raise CheckpointError(f"checkpoint {source}: its header lacks {missing[0]!r}; write it again.")
    tasks = header["tasks"]
    if not isinstance(tasks, dict) or not all(isinstance(settings, dict) for settings in tasks.values()):
        raise CheckpointError(f"checkpoint {source}: its header holds no settings of tasks; write it again.")
    return header


def _parsed(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return header if isinstance(header, dict) else {}


def load(
    path: str | Path,
    tasks: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> MultiTaskViT:
    """Read a model that ``save`` wrote, or convert a published checkpoint.

    Args:
        path: The file, the folder of a run that holds it, or the hub id of a model that was pushed; or a
            published checkpoint: a folder, a hub id or an official file, see ``mtvit_core.convert``.
        tasks: Which of its tasks to load; all by default.
        settings: By task, settings to use in place of those it was saved with, as
            ``{"seg": {"results": ["panoptic"]}}``; its weights must still fit.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file is missing, torn, lacks a task that was asked for, or does not fit.
        PluginError: a task of the checkpoint is not installed.
        ConfigError: what it was built with is unknown here, such as a setting of another version of a plugin;
            or a setting that was given is unknown or has a wrong value.
    """
    as_path("load: path", path, CheckpointError)
    require_table("load: settings", {} if settings is None else settings, "tables of settings by task")
    name, path = str(path), _fetched(path)
    if is_published(path):
        return _load_published(path, name, tasks, settings or {})
    header = read_header(path)
    _check_held(path, tasks, list(header["tasks"]))
    own = {name: values for name, values in header["tasks"].items() if tasks is None or name in tasks}
    table = _changed(path, own, settings or {})
    try:
        with making_sense_of("its header", "the file is damaged: fetch or write it again", CheckpointError):
            _check_sizes(header, table, own_file(path) or Path(path))
            model = rebuild(header, table)
    except MtvitError as cause:
        kinds = (PluginError, ConfigError, CheckpointError, DataError, MtvitError)
        kind = next(kind for kind in kinds if isinstance(cause, kind))
        raise kind(f"checkpoint {path}: {cause}") from cause.__cause__
    left_out = [f"tasks.{name}." for name in header["tasks"] if name not in own]
    if model.instance_group is None:
        left_out.append("instance_group.")
    if len(own) < len(header["tasks"]):  # others may have read decoders that nobody reads here
        left_out += [f"{PREFIX}{name}." for name in _decoders_in(path) if name not in model.decoders]
    load_weights(model, own_file(path) or Path(path), skip=tuple(left_out))
    return model.eval()


def _fetched(path: str | Path) -> str | Path:
    """Return the folder of a model that a hub id names; anything else stays as it is."""
    return path if Path(path).exists() or not is_hub_id(str(path)) else fetch(str(path))


def _decoders_in(path: str | Path) -> set[str]:
    with safe_open(own_file(path) or Path(path), framework="pt") as file:
        return {key.split(".")[1] for key in file.keys() if key.startswith(PREFIX)}  # noqa: SIM118


def is_published(path: str | Path) -> bool:
    """Tell whether something is not a file of ours, nor the missing, torn or older form of one."""
    source = Path(path)
    if not source.exists():
        return is_hub_id(str(path))
    if source.is_dir() or source.suffix in PICKLES:
        return own_file(path) is None
    try:
        with safe_open(source, framework="pt") as file:
            return "mtvit" not in (file.metadata() or {})
    except SafetensorError:
        return False


def _load_published(
    path: str | Path, name: str, tasks: Sequence[str] | None, settings: Mapping[str, Any]
) -> MultiTaskViT:
    model, _ = read_published(path, name=name)
    held = {task.name: task.config.model_dump(mode="json") for task in model.task_list}
    _check_held(name, tasks, list(held))
    kept = {task: values for task, values in held.items() if tasks is None or task in tasks}
    if len(kept) == len(held) and not settings:
        return model
    parts = make_tasks(_changed(name, kept, settings), model.categories)
    part = MultiTaskViT(model.backbone, parts, model.categories, model.canvases["person"], model.framing)
    left_out = tuple(f"tasks.{task}." for task in held if task not in kept)
    found = {key: value for key, value in model.state_dict().items() if not key.startswith(left_out)}
    _fill(part, found, name)
    return part.eval()


def _changed(path: str | Path, held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of tasks with those that were given in their place."""
    _check_held(path, list(given), list(held))
    for name, values in given.items():
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"checkpoint {path}: settings of task {name!r} are {values!r:.60}, not a table; name one of "
                f"them, as in {name}.results."
            )
    return {name: {**values, **given.get(name, {})} for name, values in held.items()}


def _check_held(path: str | Path, tasks: Sequence[str] | None, held: Sequence[str]) -> None:
    check_names("tasks", () if tasks is None else tasks)
    unknown = sorted(set(tasks or ()) - set(held))
    if unknown:
        raise CheckpointError(
            f"checkpoint {path}: it has no task {unknown[0]!r}; it holds {', '.join(held) or 'none'}."
        )


def _check_sizes(header: Mapping[str, Any], settings: Mapping[str, Any], file: Path) -> None:
    """Refuse a header of other sizes than the weights beside it, which could take all memory.

    Raises:
        CheckpointError: naming the first keys.
    """
    with safe_open(file, framework="pt") as opened:
        found = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    check_depth(header["backbone"]["options"], len(found), "its header")
    wanted = shapes_of(lambda: rebuild(header, settings))
    if any(found.get(key, shape) != shape for key, shape in wanted.items()):
        others = tuple(f"tasks.{name}." for name in header["tasks"] if name not in settings)
        skip = (*others, "instance_group.", PREFIX)
        kept = {key: shape for key, shape in found.items() if key in wanted or not key.startswith(skip)}
        problems = differences(_sketched(wanted), _sketched(kept))
        raise CheckpointError(f"its weights do not fit the model: {problems}.")


def _sketched(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return tensors of these shapes that take no memory."""
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def rebuild(header: Mapping[str, Any], settings: Mapping[str, Any]) -> MultiTaskViT:
    """Build the model that a header describes, with weights drawn anew.

    Args:
        header: What ``header_of`` returned.
        settings: Settings of the tasks that it is to have.

    Raises:
        PluginError: a task is not installed.
        ConfigError: something it was built with is unknown here.
    """
    categories = Categories.from_json(header["categories"])
    canvases = {view: tuple(canvas) for view, canvas in header["canvases"].items()}
    name, options = header["backbone"]["name"], header["backbone"]["options"]
    backbone = create_backbone(name, canvases["image"], options=options)
    framing = framing_from_json(header["framing"]) if "framing" in header else None
    tasks, queries = make_tasks(settings, categories), queries_from_json(header.get("queries", "task"))
    return MultiTaskViT(backbone, tasks, categories, canvases["person"], framing, queries)


def load_weights(model: MultiTaskViT, path: Path, skip: tuple[str, ...] = ()) -> None:
    """Copy weights into a model; every key must fit, except those that start with ``skip``.

    Raises:
        CheckpointError: naming the first keys that are missing, unexpected or of another shape.
    """
    with safe_open(path, framework="pt") as file:
        found = {key: file.get_tensor(key) for key in file.keys() if not key.startswith(skip)}  # noqa: SIM118
    _fill(model, found, path)


def _fill(model: MultiTaskViT, found: Mapping[str, Tensor], path: str | Path) -> None:
    problems = differences(model.state_dict(), found)
    if problems:
        raise CheckpointError(f"checkpoint {path}: its weights do not fit the model: {problems}.")
    model.load_state_dict(found)
