"""The commands start quickly with every plugin installed: none of them loads torch to list its commands."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["mtvit_core", "mtvit_train"])
def test_help_needs_no_torch(package: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["x", "--help"]
try:
    runpy.run_module("{package}", run_name="__main__")
finally:
    print(sorted(set(sys.modules) & {{"torch", "timm", "PIL", "scipy", "pycocotools", "hotcoco"}}))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert found.stdout.startswith("Usage: ")
    assert found.stdout.splitlines()[-1] == "[]"


def test_every_task_of_ours_is_found_and_none_is_broken() -> None:
    from mtvit_core.model.trial import broken_plugins
    from mtvit_core.plugins.registry import installed_tasks

    names = ["cls", "depth", "edges", "normals", "semantic", "det", "pose", "seg"]
    assert list(installed_tasks()) == names
    assert [str(plugin) for plugin in broken_plugins()] == []
