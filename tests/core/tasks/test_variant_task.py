"""A task of variants passes every question on to its variant."""

import inspect

import pytest

from mtvit_core.tasks.task import Task
from mtvit_core.tasks.variant_task import VariantTask

QUESTIONS = [
    name
    for name, value in vars(Task).items()
    if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
]


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_variant_is_asked(name: str) -> None:
    """By the text: answers pass the shape checker, so nothing but a real task could be asked here."""
    assert name in vars(VariantTask), f"VariantTask.{name} is that of Task, so no variant is asked"
    own = vars(VariantTask)[name]
    body = inspect.getsource(inspect.unwrap(own.fget if isinstance(own, property) else own))
    assert f"self.variant.{name}" in body
