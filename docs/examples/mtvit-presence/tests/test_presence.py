"""The task keeps the contract of mtvit."""

from mtvit_core.testing import TaskSuite


class TestPresence(TaskSuite):
    """Every check of the kit."""

    task = "presence"
