"""An exported program in the place of its model: the same results, made of the program's predictions."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing
from mtvit_core.tasks.task import AnyTask, View


class ProgramPredictor:
    """A ``Predictor`` whose predictions come from programs, see ``mtvit_core.export``.

    Of the model it needs tasks, categories and canvases; its weights answer nothing but one image at the
    start, which tells the form of the predictions.
    """

    def __init__(
        self, model: MultiTaskViT, programs: Mapping[View, Callable[[Tensor], Mapping[str, Tensor]]]
    ) -> None:
        """Put programs in the place of a model.

        Args:
            model: The model that was exported.
            programs: By view, from one canvas 1 x 3 x H x W to tensors by path, such as
                ``mtvit_core.export(model).module()``.

        Raises:
            ConfigError: the model has a view without a program.
        """
        lacking = [view for view in model.views if view not in programs]
        if lacking:
            raise ConfigError(
                f"programs: there is none for the view {lacking[0]!r} of the model; export it with "
                f"view={lacking[0]!r}, or build the model without the tasks of that view."
            )
        self._model, self._programs = model, dict(programs)
        with evaluating(model):
            self._forms = {view: model(self._blank(view), view, proposals=False) for view in model.views}

    def _blank(self, view: View) -> Tensor:
        return torch.zeros(1, 3, *self.canvases[view], dtype=torch.uint8)

    @property
    def task_list(self) -> tuple[AnyTask, ...]:
        """The tasks of the model."""
        return self._model.task_list

    @property
    def categories(self) -> Categories:
        """Classes of its results."""
        return self._model.categories

    @property
    def canvases(self) -> Mapping[View, tuple[int, int]]:
        """Rows H and columns W of what it is shown, by view."""
        return self._model.canvases

    @property
    def framing(self) -> Framing:
        """How whole images come onto a canvas."""
        return self._model.framing

    @property
    def views(self) -> tuple[View, ...]:
        """The views that at least one task asks for."""
        return self._model.views

    @property
    def crop(self) -> CropRule:
        """How crops of one person lie around their box."""
        return self._model.crop

    def of_view(self, view: View) -> tuple[AnyTask, ...]:
        """Return the tasks that see this view."""
        return self._model.of_view(view)

    def shares(self, task: str) -> bool:
        """Tell whether a task shares its queries with others."""
        return self._model.shares(task)

    def answering(self) -> AbstractContextManager[None]:
        """Return a context without gradients."""
        return evaluating(self._model)

    def answers(self, images: UInt8[Tensor, "B 3 H W"], view: View) -> dict[str, Any]:
        """Return predictions to be decoded, by task name.

        Raises:
            ConfigError: there is more than one image, or it is of another size than the program's.
        """
        wanted = (1, 3, *self.canvases[view])
        if tuple(images.shape) != wanted:
            raise ConfigError(
                f"program: it takes one canvas of shape {wanted}, and was given {tuple(images.shape)}; "
                "predict with batch_size=1, on letterboxed images."
            )

        def forward(canvases: Tensor) -> dict[str, Any]:
            tensors = self._programs[view](canvases)
            return {name: filled(form, tensors, name) for name, form in self._forms[view].items()}

        return self._model.agreed(forward, images, view)


def filled(form: Any, tensors: Mapping[str, Tensor], path: str) -> Any:
    """Return predictions of a form with the tensors of a program.

    Args:
        form: Predictions of another image, for their types and all that is no tensor.
        tensors: Tensors by path.
        path: Path of the predictions.
    """
    changes: dict[str, Any] = {}
    for field in fields(form):
        value, place = getattr(form, field.name), f"{path}/{field.name}"
        if isinstance(value, Tensor):
            changes[field.name] = tensors[place]
        elif is_dataclass(value):
            changes[field.name] = filled(value, tensors, place)
    return replace(form, **changes)
