"""Without torch the same objects are found."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import mtvit_core
from mtvit_core.deploy.header import ExportHeader, TaskOutputs
from mtvit_core.deploy.light.frames import Frame, on_canvas
from mtvit_core.deploy.light.model import LightModel
from mtvit_core.errors import CheckpointError, ConfigError, DataError, ShapeError
from mtvit_core.structures.framing import Letterbox

NO_TORCH = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import mtvit_core
found = mtvit_core.LightModel(sys.argv[1]).predict(sys.argv[2], min_score=0)
assert not {"torch", "torchvision"} & sys.modules.keys()
print(len(found[0]["objects"]))
import mtvit_core.deploy.load as door
door.find_spec = lambda name: None  # as where torch is not installed
print(type(mtvit_core.load(sys.argv[1])).__name__)
try:
    mtvit_core.load("model.safetensors")
except mtvit_core.ConfigError as error:
    print(error)
"""


def test_objects_are_those_of_the_whole_package(exported, shown):
    file = exported.files[".onnx"]
    arrays = [image.permute(1, 2, 0).numpy() for image in shown]
    found = LightModel(file).predict(arrays, min_score=0, batch_size=2)
    expected = mtvit_core.load(file).predict(shown, link=False)
    for one, other in zip(found, expected, strict=True):
        told = other.to_json()["objects"]
        assert len(one["objects"]) == len(told) > 0
        for a, b in zip(one["objects"], told, strict=True):
            assert (a["task"], a["category"], a["category_id"]) == (
                b["task"],
                b["category"],
                b["category_id"],
            )
            # Two libraries resize images, whose pixels may differ by one.
            assert a["score"] == pytest.approx(b["score"], abs=0.02)
            assert a["bbox"] == pytest.approx(b["bbox"], abs=1.0)


def test_torch_is_not_needed(exported, tmp_path):
    Image.new("RGB", (50, 40), (90, 30, 20)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", NO_TORCH, exported.files[".onnx"], tmp_path / "a.png"]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines() == [
        "4",
        "LightModel",
        "model model.safetensors: torch runs it, which is not installed; install it, or give a model that "
        "`mtvit export` wrote for ONNX Runtime or OpenVINO.",
    ]


class Told:
    """A session that tells what it is given."""

    def __init__(self, outputs, tensors):
        classes = [{"id": 3, "name": "cup", "keypoints": None}, {"id": 5, "name": "hand", "keypoints": None}]
        self.header = ExportHeader(
            "0", "image", (16, 24), (1, 8), "fp32", outputs, (), {"categories": classes}
        )
        self.runtime, self._tensors = "none", tensors

    def run(self, images):
        return {name: np.repeat(values, len(images), 0) for name, values in self._tensors.items()}


def light(outputs, tensors):
    model = object.__new__(LightModel)
    model.session, model.tasks = Told(outputs, tensors), tuple(outputs)
    return model


def test_masks_labels_and_maps_come_back_to_the_image():
    """An image of 32 x 24 fills 16 x 12 of the canvas of 16 x 24; the map has a stride of 4."""
    logits = np.full((1, 2, 4, 6), -4.0, np.float32)
    logits[:, :, 1:3, 1:3] = 4.0
    depth = np.tile(np.arange(24, dtype=np.float32), (16, 1))[None, None]
    outputs = {
        "seg": TaskOutputs(
            "objects", ("boxes", "scores", "labels", "masks"), {"nms": 0.5, "mask_threshold": 0.0}
        ),
        "cls": TaskOutputs("labels", ("scores",), {}),
        "depth": TaskOutputs("map", ("values",), {}),
    }
    tensors = {
        "seg/boxes": np.zeros((1, 2, 4), np.float32),
        "seg/scores": np.array([[0.9, 0.8]], np.float32),
        "seg/labels": np.array([[1, 1]]),
        "seg/masks": logits,
        "cls/scores": np.array([[0.2, 0.7]], np.float32),
        "depth/values": depth,
    }
    image = np.zeros((32, 24, 3), np.uint8)
    (found,) = light(outputs, tensors).predict(image, min_score=0.1)
    (only,) = found["objects"]  # the second repeats the first
    assert only["category_id"] == 5
    assert only["bbox"] == [8.0, 8.0, 16.0, 16.0]
    assert 0.7 < only["score"] < 0.8  # the mean probability inside the mask lowers it
    assert only["segmentation"]["size"] == [32, 24]
    assert [label["category"] for label in found["labels"]["cls"]] == ["hand", "cup"]
    assert found["maps"]["depth"].shape == (1, 32, 24)
    assert found["maps"]["depth"][0, 0, 12] == pytest.approx(5.75)


def test_canvases_are_those_of_the_whole_package():
    image = torch.randint(0, 256, (3, 90, 60), dtype=torch.uint8)
    pixels, frame = on_canvas(image.permute(1, 2, 0).numpy(), (32, 48))
    assert frame == Frame(90, 60, (32, 21), (32, 48))
    gap = pixels.astype(int) - Letterbox(32, 48).apply(image).numpy().astype(int)
    assert abs(gap).max() <= 1


def test_the_way_back_of_a_map_is_that_of_the_whole_package():
    values = torch.randn(1, 8, 12)
    meta = Letterbox(32, 48).meta(90, 60)
    canvas = torch.nn.functional.interpolate(values[None], size=(32, 48), mode="bilinear")[0]
    down, along = Frame(90, 60, meta.content, (32, 48)).ways((8, 12))
    np.testing.assert_allclose(
        down @ values[0].numpy() @ along.T, meta.masks_to_original(canvas)[0], atol=1e-5
    )


def test_what_it_cannot_read_is_named(exported, tmp_path):
    model = LightModel(exported.files[".onnx"])
    with pytest.raises(ShapeError, match=r"^predict: an array is float64 \(4, 4, 3\); give uint8 H x W x 3"):
        model.predict(np.zeros((4, 4, 3)))
    with pytest.raises(DataError, match="it cannot be read as an image"):
        model.predict(tmp_path / "none.png")
    with pytest.raises(CheckpointError, match="it is not an exported model; write one with `mtvit export`"):
        LightModel(tmp_path)
    with pytest.raises(CheckpointError, match=r"it has no task 'seg'; it holds det\."):
        LightModel(exported.files[".onnx"], tasks=["seg"])


def test_a_task_that_only_torch_can_read_is_refused(exported, monkeypatch):
    raw = TaskOutputs("raw", ("logits",), {})
    monkeypatch.setattr("mtvit_core.deploy.light.model.open_session", lambda *_: Told({"pose": raw}, {}))
    with pytest.raises(ConfigError, match="task 'pose' tells raw predictions, which it decodes with torch"):
        LightModel(exported.files[".onnx"])
