"""The packages: versions and pins that agree, one licence, and the commands of the README."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.commands.packages import MODULES, NAMES, PACKAGES, ROOT


def project(package: Path) -> dict[str, Any]:
    """The [project] table of a package."""
    table: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def version(package: Path) -> str:
    """The version that a package states."""
    text = (package / "src" / MODULES[package.name] / "__about__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    assert match, f'{package.name}: __about__.py holds no line like __version__ = "1.2.3"'
    return match[1]


def requirements(package: Path) -> list[str]:
    """What a package requires, extras included."""
    table = project(package)
    return [
        *table["dependencies"],
        *(r for extra in table.get("optional-dependencies", {}).values() for r in extra),
    ]


def split_requirement(requirement: str) -> tuple[str, str]:
    """The name of a requirement, and the rest."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return match[0].lower(), requirement[match.end() :]


def test_the_packages_are_these() -> None:
    short = ("cls", "core", "dense", "det", "pose", "seg", "train")
    assert [f"mtvit-{name}" for name in short] == NAMES


def test_versions_agree() -> None:
    assert len({version(package) for package in PACKAGES}) == 1


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_sibling_pins_follow_the_version(package: Path) -> None:
    major, minor, _ = version(package).split(".")
    pin = f">={major}.{minor},<{major}.{int(minor) + 1}"
    pins = {name: rest for name, rest in map(split_requirement, requirements(package)) if name in MODULES}
    assert pins == dict.fromkeys(pins, pin)
    assert ("mtvit-core" in pins) == (package.name != "mtvit-core")


def test_the_trainer_needs_no_plugin() -> None:
    names = {split_requirement(r)[0] for r in project(ROOT / "packages" / "mtvit-train")["dependencies"]}
    assert names & set(MODULES) == {"mtvit-core"}


def test_packages_ask_for_the_same_versions() -> None:
    asked: dict[str, set[str]] = {}
    for package in PACKAGES:
        for name, rest in map(split_requirement, requirements(package)):
            asked.setdefault(name, set()).add(rest)
    assert {name: rests for name, rests in asked.items() if len(rests) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_project_tables_agree(package: Path) -> None:
    first, table = project(PACKAGES[0]), project(package)
    for key in ("license", "license-files", "requires-python", "authors", "classifiers", "dynamic"):
        assert table[key] == first[key], key


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_every_package_carries_the_licence(package: Path) -> None:
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("command", ["demo", "test"])
def test_the_readme_shows_commands_that_exist(command: str) -> None:
    shown = f"pip install hatch && hatch run {command}"
    assert re.search(
        rf"^    {re.escape(shown)}(?:  |$)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    settings = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))
    assert command in settings["envs"]["default"]["scripts"]


def test_ci_runs_the_command_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "pip install hatch && hatch run test"
