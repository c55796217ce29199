"""Messages that the docs list are those of the sources."""

import ast
import re
from functools import cache

from support.commands.doc_pages import rows, sections, text_of
from support.commands.packages import ROOT


@cache
def templates() -> tuple[str, ...]:
    """Every text of the sources, with ``…`` for what is filled in."""
    found = []
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                found.append(template(node))
    return tuple(found)


def test_every_message_that_is_listed_exists() -> None:
    listed = [row[0].strip("`") for row in rows(text_of("errors.md")) if row[0].startswith("`")]
    assert len(listed) > 100
    unknown = [message for message in listed if not any(message in template for template in templates())]
    assert not unknown


def raised(kinds: set[str]) -> list[str]:
    """Message of every such error that the sources raise, with ``…`` for what is filled in."""
    found = []
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds):
                continue
            if isinstance(node.args[0], ast.JoinedStr | ast.Constant):
                found.append(template(node.args[0]))
    return found


def template(text: ast.JoinedStr | ast.Constant) -> str:
    """A text of the sources, with ``…`` for what is filled in."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    parts = [value.value if isinstance(value, ast.Constant) else "…" for value in text.values]
    return re.sub("…+", "…", "".join(map(str, parts)))


def test_every_message_about_plugins_is_listed() -> None:
    listed = [row[0].strip("`") for row in rows(sections(text_of("errors.md"))["Plugins"])]
    messages = raised({"Fault", "PluginError"})
    assert len(messages) > 25
    assert [message for message in messages if not any(entry in message for entry in listed)] == []
