"""The packages of the repository, their files and their imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))
NAMES = [package.name for package in PACKAGES]
MODULES = {package.name: package.name.replace("-", "_") for package in PACKAGES}


def sources(package: Path) -> list[Path]:
    """All Python files that a package ships."""
    return sorted((package / "src").rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full module name of every import of a file, at any depth, type-checking ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module
