"""Packages with entry points, made on the spot."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from mtvit_core import plugins
from mtvit_core.plugins import Registry

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a package of one module with one entry point."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(package: str, source: str, entry_point: str = "odd", version: str = "1.2") -> None:
        module = package.replace("-", "_")
        (folder / f"{module}.py").write_text(source)
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[mtvit]\n{entry_point} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return write


@pytest.fixture
def entries(tmp_path: Path, install: Install) -> Callable[[], list[EntryPoint]]:
    """Return a function that lists the entry points installed by this test, and only these."""

    def read() -> list[EntryPoint]:
        found = distributions(path=[str(tmp_path / "site")])
        return [e for d in found for e in d.entry_points if e.group == "mtvit"]

    return read


@pytest.fixture
def registry(entries: Callable[[], list[EntryPoint]]) -> Callable[[], Registry]:
    """Return a function that reads the packages installed by this test, and only these."""
    return lambda: Registry(entries())


@pytest.fixture
def only_these(entries: Callable[[], list[EntryPoint]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let mtvit see the packages installed by this test, and only these."""
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries())
    plugins.registry.cache_clear()
    yield
    plugins.registry.cache_clear()
