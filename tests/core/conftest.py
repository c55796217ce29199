"""Packages with entry points, made on the spot, and models and images for the command."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest
from PIL import Image

import mtvit_core
from mtvit_core.plugins import registry as plugin_registry
from mtvit_core.plugins.registry import Registry
from support.commands.command_cases import CATEGORIES, MIDDLE

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
    monkeypatch.setattr(plugin_registry, "entry_points", lambda group: entries())
    plugin_registry.registry.cache_clear()
    yield
    plugin_registry.registry.cache_clear()


@pytest.fixture
def middle(install: Install, only_these: None) -> None:
    """Installs the task ``middle``."""
    install("acme-middle", MIDDLE, "middle", "0.4")


@pytest.fixture
def model(middle: None, tmp_path: Path) -> Path:
    """Path of a saved model with the task ``middle``."""
    made = mtvit_core.build("test_vit", ["middle"], CATEGORIES, canvas=(32, 48), person_canvas=(32, 32))
    made.modules_of("middle").head.score.bias.data.fill_(2.0)
    mtvit_core.save(made, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Folder with two images, 40 x 20 and 100 x 60."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 20), "red").save(folder / "a.png")
    Image.new("RGB", (100, 60), "blue").save(folder / "b.jpg")
    return folder


@pytest.fixture
def person_model(middle: None, tmp_path: Path) -> Path:
    """Path of a saved model whose task looks at one person at a time."""
    tasks = {"middle": {"view": "person"}}
    made = mtvit_core.build("test_vit", tasks, CATEGORIES, canvas=(32, 48), person_canvas=(32, 32))
    made.modules_of("middle").head.score.bias.data.fill_(2.0)
    mtvit_core.save(made, tmp_path / "person.safetensors")
    return tmp_path / "person.safetensors"
