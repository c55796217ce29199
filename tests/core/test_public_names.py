"""The names that ``mtvit_core`` offers: importable, and the same for type checkers as at run time."""

import ast
import importlib
from pathlib import Path

import pytest

import mtvit_core


def test_type_checkers_see_the_names_that_exist_at_run_time():
    tree = ast.parse(Path(mtvit_core.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {(n.names[0].name, str(n.module)) for n in block.body if isinstance(n, ast.ImportFrom)}
    assert seen == {(name, f"mtvit_core.{module}") for name, module in mtvit_core._HOME.items()}


@pytest.mark.parametrize("name", [name for name in dir(mtvit_core) if name != "__version__"])
def test_a_name_is_what_its_module_defines(name):
    module = importlib.import_module(f"mtvit_core.{mtvit_core._HOME[name]}")
    assert getattr(mtvit_core, name) is vars(module)[name]


def test_no_name_hides_a_module():
    modules = {path.stem for path in Path(mtvit_core.__file__).parent.glob("*.py")}
    assert not modules & set(dir(mtvit_core))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mtvit_core' has no attribute 'instance'"):
        mtvit_core.instance  # noqa: B018  (looking it up is the test)
