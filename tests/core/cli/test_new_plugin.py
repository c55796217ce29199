"""``mtvit new-plugin``: what it writes is the example of the docs, under any name, and works untouched."""

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from mtvit_core.cli.main import main
from mtvit_core.cli.new_plugin import write_plugin
from mtvit_core.errors import ConfigError
from mtvit_core.model.trial import broken_plugins
from mtvit_core.plugins import registry
from mtvit_core.testing import TaskSuite
from support.commands.installed_example import EXAMPLES, installed


def contents(folder: Path) -> dict[str, str]:
    """Text of every file of a package."""
    kinds = (".py", ".toml", ".md")
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.suffix in kinds}


def test_the_template_is_the_example_of_the_docs(tmp_path: Path) -> None:
    write_plugin("presence", tmp_path / "mtvit-presence")
    assert contents(tmp_path / "mtvit-presence") == contents(EXAMPLES / "mtvit-presence")


def test_the_command_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["new-plugin", "wet_paint"])
    assert done.exit_code == 0, done.output
    assert "mtvit-wet-paint/src/mtvit_wet_paint/task.py" in done.output.splitlines()
    assert done.output.splitlines()[-1] == (
        'Now: cd mtvit-wet-paint, then pip install -e ".[test]", pytest, and mtvit plugins.'
    )
    texts = contents(tmp_path / "mtvit-wet-paint")
    assert not any("presence" in text.lower() for text in [*texts, *texts.values()])
    for name, text in texts.items():
        if name.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("name", ["Wet", "9lives", "a-b", "class", ""])
def test_a_name_that_no_task_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        write_plugin(name, tmp_path / "out")
    assert str(caught.value) == (
        f"new-plugin: {name!r} cannot name a task; allowed: lower-case letters, digits and _, a letter "
        f"first, no "
        "word of Python."
    )
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"new-plugin: .* already exists; give another folder with --out\."):
        write_plugin("marks", tmp_path)


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory):
    """A package that was just written, installed."""
    folder = tmp_path_factory.mktemp("marks")
    write_plugin("marks", folder / "source")
    with installed("marks", folder, source=folder / "source") as module:
        yield module


def test_it_is_found(marks) -> None:
    assert registry.installed_tasks()["marks"].cls is marks.Marks
    assert broken_plugins() == ()


@pytest.mark.usefixtures("marks")
class TestMarks(TaskSuite):
    """What its own test file holds."""

    task = "marks"
