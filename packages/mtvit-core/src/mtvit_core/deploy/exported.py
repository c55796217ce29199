"""An exported model in the place of its model: the same results, by whatever runs its graph."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.deploy.graph.outputs import form_of
from mtvit_core.deploy.program_predictor import filled
from mtvit_core.deploy.runtime.session import Session, run_all
from mtvit_core.errors import CheckpointError
from mtvit_core.inference.predicting import Predicting
from mtvit_core.model.build import make_tasks
from mtvit_core.model.checkpoint import rebuild
from mtvit_core.model.modes import evaluating
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing, framing_from_json
from mtvit_core.tasks.task import AnyTask, View


class ExportedModel(Predicting):
    """A ``Predictor`` that an exported file answers for; ``mtvit_core.load`` opens it.

    Attributes:
        session: What runs the graph; its ``runtime`` tells the device really used.
        task_list: Its tasks, which make results; they hold no weights.
        categories: Classes of its results.
        framing: How whole images come onto a canvas.
    """

    task_list: Sequence[AnyTask]
    categories: Categories
    framing: Framing

    def __init__(self, session: Session, tasks: Sequence[str] | None = None) -> None:
        """Make the tasks that read what the graph tells.

        Args:
            session: What runs the graph.
            tasks: Which of its tasks to read; all by default.

        Raises:
            CheckpointError: it has no such task.
            PluginError: a task is not installed.
            ConfigError: a task is of another version of its plugin.
        """
        self.session, header = session, session.header
        unknown = sorted(set(tasks or ()) - set(header.outputs))
        if unknown:
            held = ", ".join(header.outputs)
            raise CheckpointError(f"model: it has no task {unknown[0]!r}; it holds {held}.")
        held_settings: Mapping[str, Any] = header.model["tasks"]
        settings = {n: held_settings[n] for n in header.outputs if tasks is None or n in tasks}
        self.categories = Categories.from_json(header.model["categories"])
        self.task_list = tuple(make_tasks(settings, self.categories))
        self.framing = framing_from_json(header.model["framing"])

    @property
    def view(self) -> View:
        """What its images show."""
        return "person" if self.session.header.view == "person" else "image"

    @property
    def canvases(self) -> Mapping[View, tuple[int, int]]:
        """Rows H and columns W of its input, by view."""
        return {self.view: self.session.header.canvas}

    @property
    def views(self) -> tuple[View, ...]:
        """The one view of its graph."""
        return (self.view,)

    @property
    def crop(self) -> CropRule:
        """How crops of one person lie around their box."""
        return self.task_list[0].crop

    def of_view(self, view: View) -> tuple[AnyTask, ...]:
        """Return the tasks that see this view."""
        return tuple(self.task_list) if view == self.view else ()

    def shares(self, task: str) -> bool:
        """Tell whether a task shares its queries with others."""
        return task in self.session.header.shares

    def answering(self) -> AbstractContextManager[None]:
        """Return a context without gradients."""
        return torch.inference_mode()

    def answers(self, images: UInt8[Tensor, "B 3 H W"], view: View) -> dict[str, Any]:
        """Return what every task says, by its name."""
        found = run_all(self.session, images.cpu().numpy())
        return self.said({name: torch.from_numpy(values) for name, values in found.items()}, view)

    def said(self, tensors: Mapping[str, Tensor], view: View) -> dict[str, Any]:
        """Return what every task of a view says, from the outputs of the graph."""
        outputs = self.session.header.outputs
        return {
            task.name: filled(self._forms[task.name], tensors, task.name)
            if outputs[task.name].kind == "raw"
            else form_of(outputs[task.name], task.name, tensors)
            for task in self.of_view(view)
        }

    @cached_property
    def _forms(self) -> Mapping[str, Any]:
        """Predictions of a model of this kind, for tasks that tell their predictions as they are."""
        header = self.session.header
        model = rebuild(header.model, header.model["tasks"])
        blank = torch.zeros(1, 3, *header.canvas, dtype=torch.uint8)
        with evaluating(model):
            return dict(model(blank, self.view, proposals=False))
