"""Every file that the packages write is whole or absent: they write where ``mtvit_core.files`` says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).resolve().parents[3] / "packages"
#: Functions that write, called by their name alone, and methods, or functions of other packages.
FUNCTIONS = {"save_file"}
METHODS = {"write_text", "write_bytes", "save", "savefig", "savez", "tofile", "dump", "rename", "save_file"}
#: Objects of ours whose ``save`` writes what is whole.
WHOLE = {"checkpoint", "checkpoints", "course"}
#: What modules may write by themselves.
ALLOWED = {
    "mtvit_core/files.py": ["replace", "rename"],
    # A byte that shows whether a folder can be written to, and goes again.
    "mtvit_core/cli/image_tree.py": ["write_bytes"],
    # A growing file, a line for each result: a torn last line is cut off when the command goes on.
    "mtvit_core/cli/result_files.py": ["open", "open"],
    # The same, a line for each frame.
    "mtvit_core/cli/video/predict.py": ["open"],
    # Between two files, and gone again.
    "mtvit_core/deploy/graph/files.py": ["save"],
    # Of several attempts in a folder that is removed; the export folder appears whole.
    "mtvit_core/deploy/quantise/choose.py": ["replace"],
    "mtvit_core/deploy/quantise/int8.py": ["save"],
    # Into memory, for an answer.
    "mtvit_core/serving/answer.py": ["save"],
    # A film in parts, which plays as far as it was written.
    "mtvit_core/video/film.py": ["open"],
    # Runs that share a cache may write the same file at once, each under a name of its own.
    "mtvit_train/caching/token_files.py": ["save_file", "replace"],
    # Into a folder that appears whole.
    "mtvit_train/conversion/coco_set.py": ["write_text"],
    # Into memory, for a notebook.
    "mtvit_core/results/plot.py": ["save"],
    # A check writes into a temporary folder of its own.
    "mtvit_core/testing/backbone_checks/weights.py": ["save_file"],
    # Several processes fill one folder, which is then renamed.
    "mtvit_train/state/atomic_folder.py": ["save_file", "write_text", "write_text", "rename", "rename"],
    # A growing file: a torn last line is cut off when the run goes on.
    "mtvit_train/recording/records.py": ["open"],
    # Thousands of images: a data set that lacks its annotations is made anew.
    "mtvit_train/scenes/writer.py": ["save", "save"],
}


def words(function: ast.expr) -> tuple[str, str]:
    """The last name of the object whose method is called, ``?`` where it has none; and that of the call."""
    if not isinstance(function, ast.Attribute):
        return "", function.id if isinstance(function, ast.Name) else ""
    owner = function.value
    if isinstance(owner, ast.Name):
        return owner.id, function.attr
    return owner.attr if isinstance(owner, ast.Attribute) else "?", function.attr


def opens_to_write(call: ast.Call) -> bool:
    """Whether a call of ``open`` names a mode that writes."""
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [
        value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    return any(set(text) & set("wax+") and set(text) <= set("rwaxbt+") for text in texts)


def writes(call: ast.Call) -> bool:
    """Whether a call puts something on the disk by itself."""
    of, last = words(call.func)
    if last == "open":
        return opens_to_write(call)
    if last == "replace":  # of a path, not of a text
        return of == "os" or (of != "" and len(call.args) == 1)
    return last in METHODS and of not in WHOLE if of else last in FUNCTIONS


def places(block: ast.With) -> set[str]:
    """Names that ``whole_file`` and ``whole_folder`` give to a block."""
    return {
        item.optional_vars.id
        for item in block.items
        if isinstance(item.context_expr, ast.Call) and words(item.context_expr.func)[1].startswith("whole_")
        if isinstance(item.optional_vars, ast.Name)
    }


def raw_writes(node: ast.AST, inside: frozenset[str] = frozenset()) -> Iterator[str]:
    """What writes elsewhere than to the place that ``mtvit_core.files`` gives."""
    if isinstance(node, ast.With):
        inside |= places(node)
    if isinstance(node, ast.Call) and writes(node):
        named = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if not named & inside:
            yield words(node.func)[1]
    for child in ast.iter_child_nodes(node):
        yield from raw_writes(child, inside)


def test_nothing_writes_by_itself() -> None:
    found = {}
    for source in sorted(PACKAGES.glob("*/src")):
        for path in sorted(source.rglob("*.py")):
            calls = list(raw_writes(ast.parse(path.read_text(encoding="utf-8"))))
            found |= {path.relative_to(source).as_posix(): calls} if calls else {}
    assert found == ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text(text)",
        "Image.fromarray(pixels).save(path)",
        "np.save(path, values)",
        "torch.save(state, path)",
        "save_file(weights, path)",
        "figure.savefig(path)",
        "path.open('w')",
        "open(path, mode='ab')",
        "json.dump(data, file)",
        "os.replace(one, other)",
        "partial.replace(path)",
        "with whole_file(path) as partial: save_file(weights, path)",
        "with open_file(path) as partial: partial.write_text(text)",
    ],
)
def test_what_counts_as_raw(line: str) -> None:
    assert len(list(raw_writes(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "with whole_file(path) as partial: save_file(weights, partial)",
        "with whole_folder(path) as folder:\n  for name in names: (folder / name).write_text(text)",
        "checkpoint.save(model, path, extra)",
        "save(model, out)",
        "text.replace('a', 'b')",
        "replace(record, name=name)",
        "path.open('rb')",
        "write_text(path, text)",
    ],
)
def test_what_does_not_count_as_raw(line: str) -> None:
    assert list(raw_writes(ast.parse(line))) == []
