"""Where the system refuses, a command ends with one line and exit code 2; where nobody reads on, silently."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mtvit_core.cli.errors import OneLineErrors, verbose_option


@click.group(cls=OneLineErrors)
@verbose_option
def group() -> None:
    """Commands that fail."""


@group.command()
@click.argument("path")
def write(path: str) -> None:
    """Write a file."""
    Path(path).write_text("x")


def run(*arguments: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(group, arguments)


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    result = run("write", str(tmp_path / "none" / "file"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {tmp_path / 'none' / 'file'}: the system refuses (No such file or directory); free the "
        "disk, or correct path and rights.\n"
    )


def test_verbose_shows_where_it_was_refused(tmp_path: Path) -> None:
    assert "Traceback" in run("-v", "write", str(tmp_path)).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    command = [sys.executable, "-m", "mtvit_core", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == (
        "error: the system refuses (No space left on device); free the disk, or correct path and rights."
    )


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m mtvit_core models --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[", "")
