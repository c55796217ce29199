"""Arguments of the wrong form are named; no plugin is blamed for them."""

from typing import Any

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.model.build import build, check_names


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("pose", "tasks: 'pose' is one text; give a list of names, as ['pose']."),
        (3, "tasks: 3 is no list of names; give names, or settings by name."),
        ([1], "tasks: [1] is no list of names; give names, or settings by name."),
    ],
)
def test_names_of_tasks(names: Any, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_names("tasks", names)
    assert str(error.value) == line


def test_sizes() -> None:
    with pytest.raises(ConfigError) as error:
        build("test_vit", canvas=(0, 32))
    assert (
        str(error.value) == "canvas: (0, 32) is no size; give rows and columns, as (640, 640), up to 32768."
    )
