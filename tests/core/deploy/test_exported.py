"""An exported model gives the results of its model."""

import pytest
import torch

import mtvit_core
from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.graph.capture import capture, with_canvas
from mtvit_core.deploy.graph.files import onnx_to_openvino, write
from mtvit_core.errors import CheckpointError
from mtvit_core.inference.predictor import Predictor
from mtvit_core.model.backbone import create_backbone


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_results_are_those_of_the_model(exported, shown, ending, batch_size):
    loaded = mtvit_core.load(exported.files[ending])
    assert isinstance(loaded, ExportedModel)
    assert isinstance(loaded, Predictor)
    found = loaded.predict(shown, batch_size=batch_size)
    for one, other in zip(found, exported.model.predict(shown), strict=True):
        assert len(one) == len(other) > 0
        assert (one.tasks, one.names) == (other.tasks, other.names)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-3)


def test_a_smaller_canvas_is_the_same_in_every_runtime(shown, tmp_path):
    # Of 192 x 12 x 12 numbers: smaller tables are resized while the graph is written.
    backbone = create_backbone("vit_tiny_patch16_224", (192, 192), options={"depth": 1})
    large = mtvit_core.build(backbone, {"det": {"variant": "yolos", "queries": 4}}).eval()
    with torch.no_grad():
        for parameter in large.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = with_canvas(large, "image", (96, 128))
    files, captured = [tmp_path / "model.onnx", tmp_path / "model.xml"], capture(model, "image")
    write(captured, "onnx", files[0])
    onnx_to_openvino(files[0], files[1], captured.header)
    expected = model.predict(shown)
    for file in files:
        for one, other in zip(mtvit_core.load(file).predict(shown), expected, strict=True):
            assert len(one) == len(other) > 0
            torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
            torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-3)


def test_what_really_runs_it_is_told(exported):
    runtimes = [mtvit_core.load(exported.files[ending]).session.runtime for ending in (".onnx", ".xml")]
    assert [runtime.split(" ")[0] for runtime in runtimes] == ["ONNX", "OpenVINO"]
    assert runtimes[0].endswith("CPUExecutionProvider")
    assert runtimes[1].endswith("CPU, f32")  # OpenVINO would take bfloat16 unasked


def test_it_keeps_names_sizes_and_settings(exported):
    loaded, model = mtvit_core.load(exported.files[".onnx"]), exported.model
    assert loaded.categories == model.categories
    assert loaded.canvases == {"image": model.canvases["image"]}
    assert loaded.framing == model.framing
    assert [task.config for task in loaded.task_list] == [task.config for task in model.task_list]


def test_a_task_that_it_lacks_is_refused(exported):
    with pytest.raises(CheckpointError) as error:
        mtvit_core.load(exported.files[".onnx"], tasks=["seg"])
    assert str(error.value) == "model: it has no task 'seg'; it holds det."
