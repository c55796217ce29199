"""The task keeps the contract of mtvit."""

from mtvit_core.testing import TaskSuite


class TestSpots(TaskSuite):
    """Every check of the kit."""

    task = "spots"
