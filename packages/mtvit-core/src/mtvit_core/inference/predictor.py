"""Whatever answers images with predictions: a model, or an exported program."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing
from mtvit_core.tasks.task import Task, View


@runtime_checkable
class Predictor(Protocol):
    """What prediction and evaluation need to know of a model."""

    @property
    def task_list(self) -> Sequence[Task[Any, Any, Any]]:
        """Its tasks, which decode what their heads say."""
        ...

    @property
    def categories(self) -> Categories:
        """Classes of its results."""
        ...

    @property
    def canvases(self) -> Mapping[View, tuple[int, int]]:
        """Rows H and columns W of what it is shown, by view."""
        ...

    @property
    def framing(self) -> Framing:
        """How whole images come onto a canvas."""
        ...

    @property
    def views(self) -> tuple[View, ...]:
        """The views that at least one task asks for."""
        ...

    @property
    def crop(self) -> CropRule:
        """How crops of one person lie around their box."""
        ...

    def of_view(self, view: View) -> tuple[Task[Any, Any, Any], ...]:
        """Return the tasks that see this view."""
        ...

    def shares(self, task: str) -> bool:
        """Tell whether a task shares its queries with others."""
        ...

    def answering(self) -> AbstractContextManager[None]:
        """Return a context in which ``answers`` may be called: no gradients, evaluation mode."""
        ...

    def answers(self, images: UInt8[Tensor, "B 3 H W"], view: View) -> dict[str, Any]:
        """Return predictions to be decoded, by task name.

        Args:
            images: RGB, 0 to 255, on canvases of the view.
            view: What they show.
        """
        ...
