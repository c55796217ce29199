"""The task keeps mtvit's contract."""

from mtvit_core.testing import TaskSuite


class TestPresence(TaskSuite):
    """Runs every check of the kit."""

    task = "presence"
