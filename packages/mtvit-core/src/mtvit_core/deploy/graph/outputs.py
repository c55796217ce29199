"""The forms that tasks tell things in, and the outputs of a graph that they are made of."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from mtvit_core.deploy.header import Kind, TaskOutputs
from mtvit_core.results.on_canvas import CanvasLabels, CanvasMap, CanvasObjects, OnCanvas

_FORMS: dict[Kind, type[OnCanvas]] = {"objects": CanvasObjects, "labels": CanvasLabels, "map": CanvasMap}
#: Output beside the fields of ``CanvasObjects``: which objects repeat no better one.
KEPT = "kept"


def kind_of(found: OnCanvas) -> Kind:
    """Return which of the forms it is."""
    return next(kind for kind, form in _FORMS.items() if isinstance(found, form))


def constants_of(found: OnCanvas) -> dict[str, Any]:
    """Return the fields that are no tensors, and not None, as plain data."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    plain = {k: v for k, v in values.items() if v is not None and not isinstance(v, Tensor)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def form_of(outputs: TaskOutputs, task: str, tensors: Mapping[str, Tensor]) -> OnCanvas:
    """Return what a task says, from the tensors of the graph."""
    values: dict[str, Any] = {name: tensors[f"{task}/{name}"] for name in outputs.names if name != KEPT}
    values |= {k: tuple(v) if isinstance(v, list) else v for k, v in outputs.constants.items()}
    return _FORMS[outputs.kind](**values)
