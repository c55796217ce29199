"""Shapes: every axis letter is in the legend, and none hides from the checker."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtvit_core.axes import AXES
from support.commands.packages import NAMES, PACKAGES, ROOT, imported, sources

TENSOR_KINDS = re.compile(r"^(?:B?Float|Int|UInt|Bool|Integer|Num|Real|Complex|Inexact|Shaped|Key)\d*$")


def shapes(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every jaxtyping shape in a file, as `Float[Tensor, "B Q D"]`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Tuple)
            and len(node.slice.elts) == 2
        ):
            continue
        kind = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
        shape = node.slice.elts[1]
        if TENSOR_KINDS.match(kind) and isinstance(shape, ast.Constant) and isinstance(shape.value, str):
            yield node.lineno, shape.value


def letters(shape: str) -> set[str]:
    """Axis letters of a shape; numbers, names after ``*`` and whole words explain themselves, H2 is an H."""
    axes = [axis for axis in shape.split() if not axis.startswith("*") and axis not in ("...", "_")]
    names = [name for axis in axes for name in re.findall(r"[A-Za-z_]+\d*", axis)]
    return {name.rstrip("0123456789") for name in names if len(name.rstrip("0123456789")) == 1}


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_every_axis_letter_is_in_the_legend(package: Path) -> None:
    unknown = [
        f"{path.relative_to(ROOT)}:{line} {shape!r}: {', '.join(sorted(letters(shape) - set(AXES)))}"
        for path in sources(package)
        for line, shape in shapes(path)
        if letters(shape) - set(AXES)
    ]
    assert not unknown


def test_letters_reads_what_jaxtyping_allows() -> None:
    assert letters("*any #B ?Q M+1 H2 4 rows ... _ B=3") == {"B", "Q", "M", "H"}


def test_no_shape_hides_behind_deferred_annotations() -> None:
    """With deferred annotations the checker would be given strings, not shapes."""
    deferred = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if any(name == "__future__" for _, name in imported(path)) and any(shapes(path))
    ]
    assert not deferred
