"""Images of the kit with dense labels: classes of their rectangles, smooth depth, directions, edges."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.testing import Example
from mtvit_core.testing.example import draw_examples


def classes_of(example: Example) -> Float[Tensor, "H W"]:
    """Class of each pixel: 0, or one more than the label of the object; unknown in the first rows."""
    values = torch.zeros(example.size)
    assert example.truth.masks is not None
    for label, mask in zip(example.truth.labels.tolist(), example.truth.masks, strict=True):
        values[mask] = label + 1
    values[:8] = torch.nan
    return values


def smooth(example: Example) -> Float[Tensor, "H W"]:
    """Depth that rises from the first object; nothing is lost where the canvas is smaller."""
    x0, y0, x1, y1 = example.truth.boxes[0].tolist()
    rows, columns = example.size
    y, x = torch.arange(rows)[:, None] - (y0 + y1) / 2, torch.arange(columns) - (x0 + x1) / 2
    return 0.3 + (x.square() + y.square()).sqrt() / 200


def directions(example: Example) -> Float[Tensor, "3 H W"]:
    """Directions that turn smoothly from left to right, and lean up otherwise in each image."""
    rows, columns = example.size
    side = torch.linspace(-0.9, 0.6, columns).expand(rows, -1)
    up = torch.full((rows, columns), float(example.truth.boxes[0, 0]) / 100)
    vectors = torch.stack([side, up, torch.ones(rows, columns)])
    return vectors / vectors.norm(dim=0)


def edges_of(example: Example) -> Float[Tensor, "H W"]:
    """1 on two rows and two columns, at other places in each image."""
    rows, columns = example.size
    values = torch.zeros(rows, columns)
    first = 16 * len(example.truth.labels)
    values[first : first + 8] = 1
    values[:, columns - first : columns - first + 8] = 1
    return values


MAKERS = {"semantic": classes_of, "depth": smooth, "normals": directions, "edges": edges_of}


def dense_examples(name: str) -> tuple[Example, ...]:
    """The examples of the kit with one dense label."""
    return tuple(_labelled(example, name, MAKERS[name](example)) for example in draw_examples())


def _labelled(example: Example, name: str, values: Tensor) -> Example:
    truth = replace(example.truth, has=example.truth.has | {name}, maps={name: values})
    return replace(example, truth=truth)
