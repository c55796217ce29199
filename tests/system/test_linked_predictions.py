"""``mtvit predict`` of a model with two tasks: one object each, or one for each task."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mtvit_core
from mtvit_core.cli.main import main
from mtvit_core.model.backbone import create_backbone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of det and seg with random weights, and an image."""
    path = tmp_path_factory.mktemp("linked")
    torch.manual_seed(0)
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    categories = mtvit_core.Categories((mtvit_core.Category(1, "thing"),))
    model = mtvit_core.build(backbone, {"det": {"queries": 9}, "seg": {"queries": 9}}, categories)
    mtvit_core.save(model, path / "model.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "a.png")
    return path


def predicted(folder: Path, name: str, *options: str) -> list[dict[str, Any]]:
    out = folder / name
    command = ["predict", folder / "model.safetensors", folder / "a.png", "--out", out, "--device", "cpu"]
    result = CliRunner().invoke(main, [str(word) for word in (*command, "--min-score", "0", *options)])
    assert result.exit_code == 0, result.output
    objects: list[dict[str, Any]] = json.loads((out / "predictions.json").read_text())[0]["objects"]
    assert [entry["id"] for entry in objects] == list(range(1, len(objects) + 1))
    return objects


def parts(objects: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Task and score of everything that any task found."""
    found = [part for entry in objects for part in entry.get("parts", [entry])]
    return sorted((part["task"], part["score"]) for part in found)


def test_each_object_once_or_once_for_each_task(folder: Path) -> None:
    apart = predicted(folder, "apart", "--no-link")
    linked = predicted(folder, "linked", "--min-link", "0.05")
    assert {entry["task"] for entry in apart} == {"det", "seg"}
    assert not any("link" in entry for entry in apart)
    pairs = [entry for entry in linked if entry["task"] == "det+seg"]
    assert pairs
    assert all(0.05 <= entry["link"] <= 1 and "segmentation" in entry for entry in pairs)
    assert len(linked) == len(apart) - len(pairs)
    assert parts(linked) == parts(apart)
    pictures = [np.asarray(Image.open(folder / name / "a.jpg")) for name in ("apart", "linked")]
    assert not np.array_equal(*pictures)


def test_a_limit_above_one_is_refused(folder: Path) -> None:
    command = ["predict", "m", "i", "--out", str(folder / "x"), "--min-link", "1.5"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "1.5 is not in the range 0<=x<=1" in result.output
