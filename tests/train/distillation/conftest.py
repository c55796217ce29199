"""Scenes that teachers and students look at."""

from pathlib import Path

import pytest

from mtvit_train.scenes.writer import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of six scenes to train on, and two to validate on."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=6, val=2, seed=3, size=64)
    return folder
