"""Three tasks and a plugin of the docs, served together: one answer with objects of all and a map."""

from io import BytesIO
from pathlib import Path

import torch
from fastapi.testclient import TestClient
from PIL import Image

import mtvit_core
from mtvit_core.serving.app import create_app
from support.installed_example import installed
from support.serve_cases import served


def test_a_model_of_four_tasks_is_served(tmp_path: Path) -> None:
    with installed("distance", tmp_path):
        torch.manual_seed(0)
        made = mtvit_core.build("test_vit", ["det", "seg", "pose", "distance"], canvas=(64, 64))
        mtvit_core.save(made, tmp_path / "model.safetensors")
        model = mtvit_core.load(tmp_path / "model.safetensors")
        file = BytesIO()
        Image.new("RGB", (80, 60), "olive").save(file, "PNG")
        with TestClient(create_app(served(model)), base_url="http://localhost") as client:
            answer = client.post("/predict?min_score=0", content=file.getvalue()).json()
    tasks = {name for found in answer["objects"] for name in found["task"].split("+")}
    assert tasks == {"det", "seg", "pose"}
    assert answer["maps"]["distance"]["kind"] == "dense"
    assert answer["maps"]["distance"]["png"]
    assert any("segmentation" in found for found in answer["objects"])
    assert any("keypoints" in found for found in answer["objects"])
