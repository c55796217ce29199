"""``mtvit new-plugin NAME``: writes a whole package of a task that works, to be changed into another one."""

import keyword
from importlib.resources import files
from pathlib import Path

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError
from mtvit_core.files import whole_folder
from mtvit_core.plugins.validation import is_name

#: Name of the task in the template.
TEMPLATE = "presence"


@click.command("new-plugin", short_help="Write a package with a task of your own, ready to install.")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to create. [default: mtvit-NAME]")
@verbose_option
def new_plugin_command(name: str, out: Path | None) -> None:
    """Write a package for the task NAME: entry point, task, head, tests and README.

    The task says which categories an image shows. It installs, passes its tests and trains without changes.
    """
    folder = out or Path(f"mtvit-{name.replace('_', '-')}")
    for path in write_plugin(name, folder):
        click.echo(path)
    click.echo(f'Now: cd {folder}, then pip install -e ".[test]", pytest, and mtvit plugins.')


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write the package.

    Args:
        name: Of the task.
        folder: To make; must not exist.

    Returns:
        The files written.

    Raises:
        ConfigError: the name cannot be one of a task, or the folder exists.
    """
    if not is_name(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"new-plugin: {name!r} cannot name a task; allowed: lower-case letters, digits and _, a letter "
            f"first, "
            "no word of Python."
        )
    if folder.exists():
        raise ConfigError(f"new-plugin: {folder} already exists; give another folder with --out.")
    root = Path(str(files("mtvit_core") / "template"))
    texts = {
        renamed(str(source.relative_to(root)).removesuffix(".txt"), name): source.read_text(encoding="utf-8")
        for source in sorted(root.rglob("*.txt"))
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder) as partial:
        for file, text in texts.items():
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            (partial / file).write_text(renamed(text, name), encoding="utf-8")
    return [folder / file for file in texts]


def renamed(text: str, name: str) -> str:
    """Put the name of the task in the place of the template's."""
    words = {
        f"mtvit-{TEMPLATE}": f"mtvit-{name.replace('_', '-')}",
        TEMPLATE.title(): name.title().replace("_", ""),
        TEMPLATE: name,
    }
    for old, new in words.items():
        text = text.replace(old, new)
    return text
