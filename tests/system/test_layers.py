"""What holds the five packages together: layers, versions, sizes, the axis legend, nothing private."""

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtvit_core.axes import AXES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))
NAMES = [package.name for package in PACKAGES]
MODULES = {package.name: package.name.replace("-", "_") for package in PACKAGES}
MAX_LINES, MAX_MEDIAN = 320, 130

PUBLIC_HOSTS = {
    "arxiv.org",
    "cocodataset.org",
    "github.com",
    "hatch.pypa.io",
    "huggingface.co",
    "keepachangelog.com",
    "pytorch.org",
    "semver.org",
    "www.apache.org",
}
PRIVATE = {
    "a path of one machine": re.compile(
        r"(?<![\w.:/~$}{*)-])/(?:home|root|Users|work|tmp|opt|mnt|media|scratch|srv|var|workspace)/[\w.-]+"
    ),
    "a private host": re.compile(r"\b[\w-]+\.(?:internal|local|lan|corp|intranet)\b(?!\()"),
    "an address": re.compile(r"(?<![\w.])(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"),
}
URL_HOST = re.compile(r"https?://([\w.-]+)")
TENSOR_KINDS = re.compile(r"^(?:B?Float|Int|UInt|Bool|Integer|Num|Real|Complex|Inexact|Shaped|Key)\d*$")


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


def test_there_are_five_packages() -> None:
    assert NAMES == ["mtvit-core", "mtvit-det", "mtvit-pose", "mtvit-seg", "mtvit-train"]


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_a_package_imports_core_and_itself_only(package: Path) -> None:
    allowed = {MODULES[package.name], "mtvit_core"}
    crossed = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name in imported(path)
        if name.startswith("mtvit") and name.split(".")[0] not in allowed
    ]
    assert not crossed


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES)
def test_siblings_are_named_nowhere_else(package: Path) -> None:
    """An import by name, as `import_module("mtvit_det")`, crosses a layer too."""
    others = [module for name, module in MODULES.items() if name not in (package.name, "mtvit-core")]
    crossed = [
        f"{path.relative_to(ROOT)}:{node.lineno} names {node.value!r}"
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.split(".")[0] in others
    ]
    assert not crossed


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


def test_files_stay_short(record_property: Any) -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for package in PACKAGES
        for path in sources(package)
    }
    median = statistics.median(lines.values())
    record_property("median lines of a source file", median)
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}
    assert median <= MAX_MEDIAN, f"half of the {len(lines)} source files have over {median} lines"


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


def tracked() -> list[Path]:
    """All text files under version control, this one aside: it has to spell what it looks for."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: no list of tracked files")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    kinds = {".py", ".toml", ".md", ".ini", ".json", ".sh", ".txt", ".yml", ".yaml", ".cfg", ""}
    return [
        path for path in paths if path.suffix in kinds and path.is_file() and path != Path(__file__).resolve()
    ]


def private(text: str) -> list[str]:
    """What a text tells of one machine or network."""
    found = [
        f"{match[0]!r} is {what}" for what, pattern in PRIVATE.items() for match in pattern.finditer(text)
    ]
    hosts = {host.rstrip(".") for host in URL_HOST.findall(text)} - PUBLIC_HOSTS
    return found + [f"{host!r} is a host not in PUBLIC_HOSTS" for host in sorted(hosts)]


def test_files_tell_of_no_machine_and_no_network() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in tracked()
        for finding in private(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "open('/home/someone/run')",
        "see /work/notes",
        "ssh gpu7.internal",
        "tcp://10.1.2.3:29500",
        "http://wiki.acme.io",
    ],
)
def test_what_counts_as_private(text: str) -> None:
    assert private(text)


@pytest.mark.parametrize(
    "text", ["threading.local()", "v1.2.3", "127.0.0.1", "runs/tmp/x", "https://arxiv.org/abs/1"]
)
def test_what_does_not_count_as_private(text: str) -> None:
    assert not private(text)
