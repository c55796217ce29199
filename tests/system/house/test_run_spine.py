"""The spine of a run reads in one sitting: short functions, and each name of a run folder in one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtvit_train.state import run_files

TRAIN = Path(__file__).resolve().parents[3] / "packages" / "mtvit-train" / "src" / "mtvit_train"
MOST_LINES = 40


def long_functions(source: str) -> Iterator[str]:
    """Name and length of each function that is too long, docstring included, decorators not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > MOST_LINES:
                yield f"{node.name} has {lines} lines"


@pytest.mark.parametrize("folder", ["runs", "engine"])
def test_functions_are_short(folder: str) -> None:
    files = sorted((TRAIN / folder).glob("*.py"))
    assert len(files) > 3
    found = [f"{file.name}: {what}" for file in files for what in long_functions(file.read_text("utf-8"))]
    assert found == []


def test_what_counts_as_long() -> None:
    body = "    x = 0\n" * (MOST_LINES - 1)
    assert list(long_functions(f"def f():\n{body}")) == []
    assert list(long_functions(f"class A:\n  async def f():\n{body}    x = 1\n")) == ["f has 41 lines"]


def names() -> dict[str, str]:
    """Constants of ``run_files`` by their values."""
    return {
        value: name for name, value in vars(run_files).items() if name.isupper() and isinstance(value, str)
    }


def spelt(source: str) -> Iterator[str]:
    """Each name of a file of a run that a module spells itself, as the right side of a path."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            for part in ast.walk(node.right):
                if isinstance(part, ast.Constant) and part.value in names():
                    yield f"{part.value!r} is run_files.{names()[part.value]}"


def test_each_name_of_a_run_folder_stands_in_one_place() -> None:
    found = [
        f"{path.relative_to(TRAIN)}: {what}"
        for path in sorted(TRAIN.rglob("*.py"))
        for what in spelt(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_counts_as_spelt() -> None:
    assert list(spelt('folder / "metrics.json"')) == ["'metrics.json' is run_files.METRICS"]
    assert list(spelt('folder / METRICS, name == "metrics.json"')) == []


def test_no_two_names_are_the_same() -> None:
    spelt_there = [
        name for name, value in vars(run_files).items() if name.isupper() and isinstance(value, str)
    ]
    assert sorted(spelt_there) == sorted(names().values())
