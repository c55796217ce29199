"""Every command that a page shows exists and takes its arguments."""

import re
import shlex

import click
import pytest

from mtvit_core.cli import main
from mtvit_train.cli.main import main as train_command
from mtvit_train.config.run import RunConfig, read_run, recipes
from support.commands.doc_pages import PAGES


def commands() -> list[str]:
    """Every command of ours that some page shows."""
    pages = [re.sub(r" \\\n\s+", " ", page.read_text(encoding="utf-8")) for page in PAGES]
    found = [re.findall(r"^    (mtvit(?:-train)? .+)$", page, re.MULTILINE) for page in pages]
    return sorted({line for lines in found for line in lines})


@pytest.mark.parametrize("shown", commands())
def test_every_command_that_is_shown_exists(shown: str) -> None:
    line = shlex.split(shown, comments=True)
    command: click.Command = train_command if line[0] == "mtvit-train" else main.main
    arguments = line[1:]
    if isinstance(command, click.Group) and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    given = command.make_context(line[0], arguments).params
    if command is train_command:
        recipe = given["config"] if given["config"] in recipes() else None
        assert isinstance(read_run(recipe, {}, given["assignments"]), RunConfig)


def test_the_pages_show_commands() -> None:
    assert len(commands()) > 10
