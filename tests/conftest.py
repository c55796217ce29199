"""Fixtures of the whole suite: one thread, one seed, and where the small COCO sample lies."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; children inherit it

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Workers share the cores; a second thread each only makes them wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random state, alone or in a full run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """Folder of a small COCO sample: train2017, val2017 and annotations."""
    folder = Path(os.environ.get("MTVIT_COCO_MINI", ROOT.parent / "shared" / "data" / "coco-mini"))
    if not (folder / "annotations").is_dir():
        pytest.skip(f"{folder}: no coco-mini here. Set MTVIT_COCO_MINI to a folder that has it.")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return ROOT
