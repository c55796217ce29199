"""A model as one safetensors file: its weights, and a header that says how to build it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import save_file

from mtvit_core.__about__ import __version__
from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import CheckpointError
from mtvit_core.files import whole_file
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing, framing_to_json
from mtvit_core.tasks.instance_group import Queries, queries_to_json
from mtvit_core.tasks.task import AnyTask, View

#: Version of the file's layout; readers refuse others.
FORMAT = "mtvit-1"


@runtime_checkable
class Written(Protocol):
    """What a file is written of; ``MultiTaskViT`` is it."""

    backbone: Backbone
    task_list: tuple[AnyTask, ...]
    categories: Categories
    canvases: dict[View, tuple[int, int]]
    framing: Framing

    @property
    def queries(self) -> Queries:
        """How the tasks got their queries."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return all weights by their keys."""

    def parameters(self) -> Any:
        """Return all weights that are trained."""

    def of_view(self, view: View) -> Sequence[AnyTask]:
        """Return the tasks that see this view."""


def write_model(model: Written, target: Path, extra: Mapping[str, Any]) -> None:
    """Write a model, replacing a file that is there only when the new one is complete.

    Raises:
        CheckpointError: ``extra`` is no plain data, or the file cannot be written.
    """
    try:
        header = json.dumps(header_of(model, extra))
    except (TypeError, ValueError) as cause:
        raise CheckpointError(f"checkpoint {target}: extra is no plain data ({cause}).") from None
    weights = {
        key.replace("_orig_mod.", ""): value.detach().cpu().contiguous()  # where only a part is compiled
        for key, value in model.state_dict().items()
    }
    try:
        with whole_file(target) as partial:
            save_file(weights, partial, metadata={"mtvit": header})
    except (OSError, SafetensorError) as cause:
        raise CheckpointError(f"checkpoint {target}: it cannot be written ({cause}).") from cause


def header_of(model: Written, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of a model says of it.

    Args:
        model: The model.
        extra: Plain data to keep with it.
    """
    return {
        "format": FORMAT,
        "version": __version__,
        "backbone": {"name": model.backbone.name, "options": model.backbone.options},
        "canvases": model.canvases,
        "framing": framing_to_json(model.framing),
        "queries": queries_to_json(model.queries),
        "tasks": {task.name: task.config.model_dump(mode="json") for task in model.task_list},
        "categories": model.categories.to_json(),
        "extra": dict(extra),
    }
