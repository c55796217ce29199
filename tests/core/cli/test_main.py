"""The command ``mtvit`` itself: devices, and what it loads."""

import subprocess
import sys

import pytest
import torch

import mtvit_core
from mtvit_core.device import pick_device
from mtvit_core.errors import ConfigError

HEAVY = ("torch", "timm", "PIL", "scipy", "rich", "pycocotools", "hotcoco")
LOOK = "import sys; {}; print(sorted(set(sys.modules) & set({!r})))"


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"device 'gpu': torch cannot use it here \(.*\); give auto, cpu"):
        pick_device("gpu")
    with pytest.raises(ConfigError, match=r"device 'cuda:99': torch cannot use it here"):
        pick_device("cuda:99")
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda")


def loaded_by(statements: str) -> str:
    """Return which heavy modules a fresh process loads."""
    code = LOOK.format(statements, HEAVY)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_needs_no_torch(tmp_path):
    alone = "import importlib.metadata as m; m.entry_points = lambda group: []; "
    help_ = alone + "from mtvit_core.cli.main import main; main(['--help'], standalone_mode=False)"
    assert loaded_by(help_).splitlines()[-1] == "[]"


def test_importing_the_package_needs_no_torch():
    assert loaded_by("import mtvit_core").strip() == "[]"
    assert loaded_by("import mtvit_core; mtvit_core.hookimpl").strip() == "[]"
    assert loaded_by("import PIL").strip() == "['PIL']"


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "mtvit_core", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"mtvit, version {mtvit_core.__version__}\n"
