"""An example of the docs, installed for a while from its own wheel as a stranger would."""

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from jaxtyping import install_import_hook

from mtvit_core.plugins import registry

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


def unpacked(project: Path, folder: Path) -> Path:
    """Build the wheel of a project and unpack it, with all its metadata; return where, for ``sys.path``."""
    line = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    done = subprocess.run([sys.executable, *line], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@contextmanager
def installed(
    name: str, folder: Path, source: Path | None = None, module: str = "task"
) -> Iterator[ModuleType]:
    """Build the wheel, put it on the path with all its metadata, and check its shapes.

    Args:
        name: Of the task; the package is ``mtvit-`` and the name.
        folder: Where it goes.
        source: Its project; by default that of the docs.
        module: Which of its modules is given back.

    Yields:
        The module.
    """
    package = f"mtvit_{name}"
    site = unpacked(source or EXAMPLES / f"mtvit-{name}", folder)
    with pytest.MonkeyPatch.context() as patch, install_import_hook(package, "shape_checker.check"):
        patch.syspath_prepend(str(site))
        registry.registry.cache_clear()
        yield importlib.import_module(f"{package}.{module}")
    registry.registry.cache_clear()
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(package)]:
        del sys.modules[loaded]
