"""The task keeps the contract of mtvit."""

from dataclasses import replace
from typing import ClassVar

import torch

from mtvit_core.testing import Example, TaskSuite


class TestDistance(TaskSuite):
    """Every check of the kit, on its examples with depth added."""

    task = "distance"
    best: ClassVar = {"delta1": 1.0}

    def examples(self) -> tuple[Example, ...]:
        """Let depth rise smoothly from the first object: nothing is lost where the canvas is smaller."""
        return tuple(self.with_depth(example) for example in super().examples())

    @staticmethod
    def with_depth(example: Example) -> Example:
        """Return the example with the dense label ``depth``."""
        (rows, columns), truth = example.size, example.truth
        x0, y0, x1, y1 = truth.boxes[0].tolist()
        y, x = torch.arange(rows)[:, None] - (y0 + y1) / 2, torch.arange(columns) - (x0 + x1) / 2
        depth = 0.3 + (x.square() + y.square()).sqrt() / 200
        return replace(example, truth=replace(truth, has=truth.has | {"depth"}, maps={"depth": depth}))
