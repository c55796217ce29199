"""Three tasks and a plugin of the docs, served together: one answer with objects of all and a map."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

import mtvit_core
from mtvit_core.serving.app import create_app
from support.commands.command_cases import run
from support.commands.installed_example import installed
from support.commands.serve_cases import served

TASKS = ["det", "seg", "pose", "distance"]


def answered(model: Any) -> dict[str, Any]:
    """Serve a model and return its answer to one image."""
    file = BytesIO()
    Image.new("RGB", (80, 60), "olive").save(file, "PNG")
    with TestClient(create_app(served(model)), base_url="http://localhost") as client:
        found: dict[str, Any] = client.post("/predict?min_score=0", content=file.getvalue()).json()
    tasks = {name for told in found["objects"] for name in told["task"].split("+")}
    assert tasks == {"det", "seg", "pose"}
    assert found["maps"]["distance"]["kind"] == "dense"
    assert found["maps"]["distance"]["png"]
    assert any("segmentation" in told for told in found["objects"])
    assert any("keypoints" in told for told in found["objects"])
    return found


def made(path: Path) -> Path:
    """Write a model of four tasks."""
    torch.manual_seed(0)
    mtvit_core.save(mtvit_core.build("test_vit", TASKS, canvas=(64, 64)), path)
    return path


def test_a_model_of_four_tasks_is_served(tmp_path: Path) -> None:
    with installed("distance", tmp_path):
        answered(mtvit_core.load(made(tmp_path / "model.safetensors")))


@pytest.mark.slow  # two exports
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_its_export_is_served_and_answers_the_same(target: str, tmp_path: Path) -> None:
    with installed("distance", tmp_path):
        file, out = made(tmp_path / "model.safetensors"), tmp_path / "out"
        told = run("export", file, "--to", target, "--out", out, "--count", "1", "--max-loss", "1")
        assert (told.exit_code, told.stderr) == (0, "")
        expected, found = (answered(mtvit_core.load(path)) for path in (file, out))
    assert len(found["objects"]) == len(expected["objects"]) > 10
    assert found["maps"]["distance"]["range"] == pytest.approx(
        expected["maps"]["distance"]["range"], abs=1e-4
    )
