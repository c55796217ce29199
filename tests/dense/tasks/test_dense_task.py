"""Every dense task keeps the contract of mtvit, with either decoder."""

from typing import ClassVar

from mtvit_core.testing import Example, TaskSuite
from support.tasks.dense_cases import dense_examples


class DenseSuite(TaskSuite):
    """Every check of the kit, on its examples with the label of the task."""

    settings: ClassVar = {"channels": 8, "depths": 3}

    def examples(self) -> tuple[Example, ...]:
        """Add the label."""
        assert isinstance(self.task, str)
        return dense_examples(self.task)


class TestSemantic(DenseSuite):
    """Classes of pixels."""

    task = "semantic"
    best: ClassVar = {"mIoU": 1.0, "pixel_accuracy": 1.0}
    lr: ClassVar = 1e-2


class TestDepth(DenseSuite):
    """Depth, by the absolute error."""

    task = "depth"
    best: ClassVar = {"delta1": 1.0}


class TestInverseDepth(TestDepth):
    """Inverse depth, with both losses, by a linear layer on patches."""

    settings: ClassVar = {"decoder": "linear", "inverse": True, "loss_si": 1.0}
    lr: ClassVar = 1e-2


class TestNormals(DenseSuite):
    """Directions."""

    task = "normals"
    best: ClassVar = {"below_11.25": 1.0}


class TestEdges(DenseSuite):
    """Edges."""

    task = "edges"
    best: ClassVar = {"ODS": 1.0}
    lr: ClassVar = 1e-2
