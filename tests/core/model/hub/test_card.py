"""The card says what a model does, for what, how well and on which terms; no more."""

from pathlib import Path

import pytest

import mtvit_core
from mtvit_core.errors import DataError
from mtvit_core.model.hub.card import About, card, read_metrics


def test_a_card(model: Path) -> None:
    about = About(licence="mit", data="Cups on tables.", metrics={"middle/AP": 0.25}, base="ada/first")
    text = card(mtvit_core.load(model), "ada/cups", about)
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert "license: mit" in head
    assert "base_model: ada/first" in head
    assert "library_name: mtvit" in head
    for words in (
        "# cups",
        "`middle` in one pass",
        'mtvit_core.load("ada/cups")',
        "mtvit predict ada/cups photos/ --out found",
        "## Categories (2)\n\nperson, cup.",
        "Keypoints of person: nose, left\\_eye,",
        "| middle/AP | 0.2500 |",
        "Cups on tables.",
        "## Licence\n\n`mit`",
    ):
        assert words in body, words


def test_what_nobody_states_is_said_not_to_be(model: Path) -> None:
    text = card(mtvit_core.load(model), "ada/cups", About())
    assert text.count("Not stated") == 3
    assert "license:" not in text


def test_metrics_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"det/AP": 0.5, "det/AR": NaN, "note": "x"}')
    assert read_metrics(tmp_path / "metrics.json") == {"det/AP": 0.5}


@pytest.mark.parametrize("text", ["[1]", "{", None])
def test_metrics_of_another_form(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=r"^metrics .*metrics.json: it "):
        read_metrics(tmp_path / "metrics.json")
