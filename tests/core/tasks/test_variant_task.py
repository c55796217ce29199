"""A task of variants passes every question on to its variant."""

import inspect
from typing import Any

import pytest

from mtvit_core.tasks.task import Task
from mtvit_core.tasks.variant_task import VariantTask

QUESTIONS = {
    name: value
    for name, value in vars(Task).items()
    if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
}


class Echo:
    """Answers with what it was asked."""

    def __init__(self, config: Any, categories: Any) -> None:
        """Take what a variant takes."""

    def __getattr__(self, name: str) -> Any:
        """A property's answer is its name, a method's is name and arguments."""
        return name if isinstance(QUESTIONS[name], property) else lambda *given: (name, *given)


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_variant_answers(name: str) -> None:
    concrete: Any = type("Concrete", (VariantTask,), {})
    task = concrete(None, None, Echo)
    if isinstance(QUESTIONS[name], property):
        assert getattr(task, name) == name
        return
    given = tuple(range(len(inspect.signature(QUESTIONS[name]).parameters) - 1))
    assert getattr(task, name)(*given) == (name, *given)
