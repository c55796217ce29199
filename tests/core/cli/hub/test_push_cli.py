"""``mtvit push``: a run goes to the hub with its metrics, and nothing of this machine."""

from pathlib import Path

import pytest

from support.commands.command_cases import refusal, run
from support.commands.hub import local_hub

#: The client itself uploads in a way that its HTTP library gives up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def test_push(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.with_name("metrics.json").write_text('{"middle/AP": 0.75}')
    with local_hub(tmp_path / "cache", monkeypatch) as hub:
        result = run("push", model.parent, "ada/cups", "--license", "mit", "--data", "Cups.")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{hub.address}/ada/cups/commit/")
        text = hub.files["ada/cups"]["README.md"].decode()
        assert "| middle/AP | 0.7500 |" in text
        assert all(str(tmp_path).encode() not in content for content in hub.files["ada/cups"].values())
        found = run("predict", "ada/cups", tmp_path, "--out", tmp_path / "found")
        assert "the folder holds no image" in found.stderr  # so the model was found, or rather its images not


def test_the_card_alone(model: Path) -> None:
    result = run("push", model, "ada/cups", "--card-only")
    assert result.exit_code == 0
    assert result.stdout.startswith("---\nlibrary_name: mtvit\n")


def test_the_hub_is_out_of_reach(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.refuses = 403
        assert refusal("push", model, "ada/cups").startswith(
            "error: push ada/cups: the hub did not take it ("
        )
