"""A model that is served, and what it says of itself."""

from dataclasses import dataclass
from typing import Any

import torch

from mtvit_core.__about__ import __version__
from mtvit_core.drawing.palette import class_colour
from mtvit_core.inference.predict import predict_stream
from mtvit_core.inference.predictor import Predictor
from mtvit_core.serving.limits import Limits

#: Colours of objects that are told apart by their place in the list.
_COLOURS = 48


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
        model: What answers.
        name: What it is called: its file, or its id.
        python: The line of Python that loads the same.
        device: Where it runs, in words.
        limits: What requests are held to.
    """

    model: Predictor
    name: str
    python: str
    device: str
    limits: Limits

    def warm_up(self) -> None:
        """Answer one grey image, so that the first request is as fast as the others, or fails here."""
        height, width = self.model.canvases[self.model.views[0]]
        grey = torch.full((3, height, width), 127, dtype=torch.uint8)
        list(predict_stream(self.model, [grey]))

    def card(self) -> dict[str, Any]:
        """Return what ``GET /model`` answers."""
        categories = [
            {**entry, "colour": _hex(class_colour(label))}
            for label, entry in enumerate(self.model.categories.to_json())
        ]
        return {
            "name": self.name,
            "python": self.python,
            "version": __version__,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "tasks": [{"name": task.name, "view": task.view} for task in self.model.task_list],
            "canvases": {view: list(self.model.canvases[view]) for view in self.model.views},
            "categories": categories,
            "colours": [_hex(class_colour(number)) for number in range(_COLOURS)],
            "limits": {
                "bytes": self.limits.bytes,
                "pixels": self.limits.pixels,
                "seconds": self.limits.seconds,
                "waiting": self.limits.waiting,
            },
        }


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
