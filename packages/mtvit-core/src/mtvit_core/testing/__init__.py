"""The test kit for authors of tasks: subclass ``TaskSuite`` in a test file, name the task, and run pytest."""

from mtvit_core.testing.example import CATEGORIES as CATEGORIES
from mtvit_core.testing.example import Example as Example
from mtvit_core.testing.suite import TaskSuite as TaskSuite
