"""The notebook and the container recipe of the docs do what they say."""

import json
from pathlib import Path

import click
import pytest

from mtvit_core.cli.serving.serve import serve_command
from support.commands.packages import ROOT

DOCS = ROOT / "docs"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "docs/tour.ipynb", "exec"), known)
    assert len(known["frames"]) == 6
    assert any(track is not None for one in known["frames"] for track in one.tracks)
    assert known["answer"]["width"] == 320
    assert known["server"].returncode == 0


def test_the_container_runs_the_command_without_root() -> None:
    lines = (DOCS / "container" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    order = [line[0] for line in words]
    user = words[order.index("USER")][1]
    assert user.isdecimal()
    assert int(user) > 0
    assert order.index("USER") < order.index("RUN", order.index("USER")) < order.index("ENTRYPOINT")
    entry = json.loads(
        next(line for line in lines if line.startswith("ENTRYPOINT")).removeprefix("ENTRYPOINT ")
    )
    assert entry[:2] == ["mtvit", "serve"]
    context = serve_command.make_context("serve", entry[2:])
    assert isinstance(context, click.Context)
    assert context.params["host"] == "0.0.0.0"
