"""Layers: which package, folder and file may import which, how large they are, and where tests lie."""

import ast
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.commands.packages import MODULES, NAMES, PACKAGES, ROOT, imported, sources

MAX_LINES, MAX_MEDIAN, MAX_MODULES = 320, 130, 12
#: Folders from the ground up; those of one row do not import each other. A dot is the files at the root.
CORE = (
    ("__about__", "."),
    ("structures", "backbones"),
    ("drawing", "losses", "published"),
    ("results",),
    ("evaluation",),
    ("heads",),
    ("tasks",),
    ("plugins", "inference"),
    ("model",),
    ("deploy",),
    ("serving", "video"),
    ("cli",),
    ("testing", "__init__", "__main__"),
)
TRAIN = (
    ("__about__",),
    ("distributed", "scenes"),
    ("state", "data"),
    ("config",),
    ("optim", "weighting", "build"),
    ("caching", "conversion", "distillation", "doctor", "pretraining"),
    ("probing",),
    ("engine",),
    ("recording",),
    ("report",),
    ("runs",),
    ("search",),
    ("cli",),
    (".", "__init__", "__main__"),
)
DATA = ((".", "__init__"), ("formats", "samples"), ("layouts",), ("merging", "loading"))
#: What a task's package may import of core; so may a stranger's.
OPEN = {
    ".",
    "structures",
    "results",
    "backbones",
    "losses",
    "heads",
    "evaluation",
    "tasks",
    "published",
    "testing",
}
#: Imports that cross the rules, and why.
ALLOWED = {
    ("mtvit_seg.decoding.windows", "mtvit_core.model.modes"): "it runs a whole model over windows",
    ("mtvit_seg.decoding.windows", "mtvit_core.model.multitask_vit"): "the same",
    ("mtvit_train.pretraining.mae", "timm"): "its decoder is made of timm's blocks",
}


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.with_suffix("").parts
    dotted = ".".join(parts[parts.index("src") + 1 :])
    return dotted.removesuffix(".__init__")


PATHS = {module_of(path): path for package in PACKAGES for path in sources(package)}


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of ours that a file imports anywhere: at the top, in functions, for type checkers, by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(PATHS[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & PATHS.keys() or {node.module}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            found.add(node.value)  # of `import_module("mtvit_core.errors")`
    return frozenset((found & PATHS.keys()) - {module})


def folder_of(module: str, depth: int = 1) -> str:
    """The folder of a module below its package, or the special file that it is; a dot for root files."""
    parts = module.split(".")
    if len(parts) == depth:
        return "__init__"
    inside = len(parts) > depth + 1 or PATHS[module].name == "__init__.py"
    return parts[depth] if inside or parts[depth].startswith("__") else "."


def upward(order: Sequence[Sequence[str]], graph: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Imports that do not lead down: from a module with a folder to modules with folders."""
    level = {folder: row for row, folders in enumerate(order) for folder in folders}
    return [
        f"{module} ({own}) imports {other} ({folder})"
        for module, (own, others) in graph.items()
        for other, folder in others.items()
        if folder != own and level[folder] >= level[own]
    ]


def graph_of(prefix: str, depth: int) -> dict[str, Any]:
    """Folder of every module below a package, and the modules with their folders that it imports."""
    inside = [module for module in PATHS if f"{module}.".startswith(f"{prefix}.")]
    return {
        module: (
            folder_of(module, depth),
            {other: folder_of(other, depth) for other in imports_of(module) if other in inside},
        )
        for module in inside
    }


def cycles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            start = stack.index(module)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in index:
            visit(module)
    return found


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


@pytest.mark.parametrize(
    ("prefix", "order"), [("mtvit_core", CORE), ("mtvit_train", TRAIN), ("mtvit_train.data", DATA)]
)
def test_folders_import_those_below_them(prefix: str, order: Sequence[Sequence[str]]) -> None:
    graph = graph_of(prefix, prefix.count(".") + 1)
    assert not upward(order, graph)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert cycles({module: imports_of(module) for module in PATHS}) == []


def test_a_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert cycles({name: frozenset(others) for name, others in graph.items()}) == [["a", "b", "c"]]


def test_task_packages_import_what_is_open_to_strangers() -> None:
    closed = [
        f"{module} imports {other}"
        for module in PATHS
        if module.split(".")[0] in ("mtvit_det", "mtvit_seg", "mtvit_pose", "mtvit_cls", "mtvit_dense")
        for other in imports_of(module)
        if other.startswith("mtvit_core.") and folder_of(other) not in OPEN
        if other != "mtvit_core.plugins.hookspecs" and (module, other) not in ALLOWED
    ]
    assert not closed


def test_timm_is_met_in_families_of_backbones_only() -> None:
    met = {
        module
        for module, path in PATHS.items()
        if any(name.split(".")[0] == "timm" for _, name in imported(path))
    }
    strays = {m for m in met if not m.startswith("mtvit_core.backbones.") or m.count(".") < 3}
    assert strays == {module for module, name in ALLOWED if name == "timm"}


def test_files_stay_short(record_property: Any) -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in PATHS.items()}
    median = statistics.median(lines.values())
    record_property("median lines of a source file", median)
    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}
    assert median <= MAX_MEDIAN, f"half of the {len(lines)} source files have over {median} lines"


def test_folders_stay_small() -> None:
    counts = Counter(path.parent for path in PATHS.values() if path.name != "__init__.py")
    for folder in ("tests", "benchmarks"):
        counts.update(p.parent for p in (ROOT / folder).rglob("*.py") if p.name != "__init__.py")
    assert {str(p.relative_to(ROOT)): count for p, count in counts.items() if count > MAX_MODULES} == {}


def test_packages_inside_packages_hold_a_docstring_only() -> None:
    public = {"mtvit_core", "mtvit_core.testing", "mtvit_train"}
    coded = [
        module
        for module, path in PATHS.items()
        if path.name == "__init__.py" and module not in public
        if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1
    ]
    assert not coded


def subjects(path: Path) -> Iterator[Path]:
    """Modules that a test file may be named after: ``test_x.py`` and ``test_x_aspect.py`` after ``x.py``."""
    package, *folders = path.relative_to(ROOT / "tests").parent.parts
    source = ROOT / "packages" / f"mtvit-{package}" / "src" / f"mtvit_{package}"
    words = path.stem.removeprefix("test_").split("_")
    for count in range(len(words), 0, -1):
        yield source.joinpath(*folders, "_".join(words[:count]) + ".py")


def test_tests_lie_where_their_subject_does() -> None:
    lost = [
        str(path.relative_to(ROOT))
        for package in ("core", "det", "seg", "pose", "cls", "dense", "train")
        for path in (ROOT / "tests" / package).rglob("test_*.py")
        if path.name != "test_public_names.py"  # of the package itself
        if not any(subject.is_file() for subject in subjects(path))
    ]
    assert not lost
