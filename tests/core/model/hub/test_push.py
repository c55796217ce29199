"""Models go to the hub whole, with a card, and come back the same; what is refused is said in one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core import About, CheckpointError, ConfigError, MultiTaskViT
from support.commands.hub import Hub, local_hub

#: The client itself uploads in a way that its HTTP library gives up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the hub."""
    with local_hub(tmp_path / "cache", monkeypatch) as found:
        yield found


@pytest.fixture
def loaded(model: Path) -> MultiTaskViT:
    """A small model."""
    return mtvit_core.load(model)


def test_what_is_pushed_is_loaded_by_its_id(hub: Hub, loaded: MultiTaskViT) -> None:
    commit = loaded.push_to_hub(
        "ada/cups", About(licence="apache-2.0", data="Cups.", metrics={"middle/AP": 0.5})
    )
    assert commit.startswith(f"{hub.address}/ada/cups/commit/")
    assert set(hub.files["ada/cups"]) == {"README.md", "model.safetensors"}
    again = mtvit_core.load("ada/cups")
    assert again.categories == loaded.categories
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in loaded.state_dict().items())
    card = hub.files["ada/cups"]["README.md"].decode()
    assert "license: apache-2.0" in card
    assert "| middle/AP | 0.5000 |" in card


def test_a_second_push_replaces_the_first(hub: Hub, loaded: MultiTaskViT) -> None:
    loaded.push_to_hub("ada/cups", private=True)
    loaded.push_to_hub("ada/cups", About(data="More cups."))
    assert hub.private == {"ada/cups"}
    assert b"More cups." in hub.files["ada/cups"]["README.md"]


def test_who_may_not_write_is_told(hub: Hub, loaded: MultiTaskViT) -> None:
    with pytest.raises(CheckpointError) as caught:
        loaded.push_to_hub("ada/cups", token="hf_other")
    assert str(caught.value).startswith("push ada/cups: the hub did not take it (")
    assert "401" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.files == {}


def test_a_model_that_is_not_there_is_told(hub: Hub, model: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^source ada/none: neither a path here nor to be had "):
        mtvit_core.load("ada/none")


@pytest.mark.parametrize(
    ("repo_id", "about", "line"),
    [
        ("cups", {}, "push: 'cups' is no hub id; give owner/name."),
        ("ada/cups", {"metrics": {"AP": float("nan")}}, "about: metric 'AP' is nan; give a finite number."),
    ],
)
def test_odd_arguments(loaded: MultiTaskViT, repo_id: str, about: dict[str, float], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded.push_to_hub(repo_id, About(**about))
    assert str(caught.value) == line
