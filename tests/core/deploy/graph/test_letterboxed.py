"""A graph that takes images of any size finds what the model finds in them."""

import numpy as np
import onnx
import pytest
import torch

import mtvit_core
from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.graph.capture import capture, with_canvas
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.files import REFUSED, onnx_to_openvino, write
from mtvit_core.deploy.graph.letterboxed import letterbox_of, letterboxed
from mtvit_core.deploy.light.model import LightModel
from mtvit_core.deploy.report.any_size import results_of_images
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import evaluating
from mtvit_core.structures.framing import Letterbox

CANVAS = (32, 48)
SIZES = [(50, 70), (32, 48), (90, 40), (480, 640), (20, 11), (7, 500), (2, 2)]


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_canvases_are_those_of_resizing_outside(size, resample):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    framing = Letterbox(64, 96, resample)
    placed = letterboxed(images, framing)
    assert tuple(placed.content.tolist()) == framing.content(*size)
    for image, canvas in zip(images, placed.canvases, strict=True):
        # torchvision rounds its weights to whole numbers: here and there, each of its two passes is one off.
        gap = (framing.apply(image).int() - canvas.int()).abs()
        assert gap.max() <= 2
        assert (gap > 0).float().mean() < 0.02


def test_a_canvas_stays_as_it_is():
    images = torch.randint(0, 256, (1, 3, 32, 48), dtype=torch.uint8)
    assert torch.equal(letterboxed(images, Letterbox(32, 48)).canvases, images)


@pytest.fixture(scope="module")
def files(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("letterboxed")
    captured = capture(exported.model, "image", letterbox=True)
    found = {ending: folder / f"model{ending}" for ending in (".onnx", ".xml", ".pt2")}
    write(captured, "onnx", found[".onnx"])
    onnx_to_openvino(found[".onnx"], found[".xml"], captured.header)
    write(captured, "pt2", found[".pt2"])
    return found


def _by_query(found, name):
    values, order = found[f"det/{name}"], found["det/queries"].argsort(1)
    return np.take_along_axis(values, order[..., None] if values.ndim == 3 else order, 1)


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
def test_outputs_are_those_of_torch_at_any_size_and_batch(exported, files, ending):
    session = open_session(files[ending])
    graph = DecodedModel(exported.model, "image", letterbox=letterbox_of(exported.model, "image"))
    for count, size in zip((1, 3, 2, 1, 4), SIZES, strict=False):
        images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)
        with evaluating(graph):
            expected = graph(images)
        found = session.run(images.numpy())
        assert list(found) == list(expected)
        assert found["content"].tolist() == count * [list(Letterbox(*CANVAS).content(*size))]
        # Sums in another order round a few pixels the other way: scores move, and so may the order of rows.
        ours, theirs = ({k: np.asarray(v) for k, v in one.items()} for one in (expected, found))
        for name, limit in (("boxes", 2e-3 * max(size)), ("scores", 1e-4), ("labels", 0), ("kept", 0)):
            gap = _by_query(ours, name).astype(float) - _by_query(theirs, name).astype(float)
            assert np.abs(gap).max() <= limit, (name, size)


def test_results_are_those_of_the_model(exported, files, shown):
    loaded = mtvit_core.load(files[".onnx"])
    assert isinstance(loaded, ExportedModel)
    expected = exported.model.predict(shown, link=False)
    for found in (results_of_images(loaded, shown), loaded.predict(shown, link=False)):
        for one, other in zip(found, expected, strict=True):
            assert len(one) == len(other) > 0
            torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=0.01)
            torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=0.5)


def test_it_is_read_without_torch(files, exported, shown):
    arrays = [image.permute(1, 2, 0).numpy() for image in shown]
    expected = results_of_images(mtvit_core.load(files[".onnx"]), shown)
    for one, other in zip(LightModel(files[".onnx"]).predict(arrays, min_score=0), expected, strict=True):
        told = other.to_json()["objects"]
        assert (one["height"], one["width"], len(one["objects"])) == (other.height, other.width, len(told))
        for a, b in zip(one["objects"], told, strict=True):
            assert a["category"] == b["category"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-5)
            assert a["bbox"] == pytest.approx(b["bbox"], abs=1e-3)


def test_no_runtime_has_to_resize(files):
    graph = onnx.load(files[".onnx"]).graph
    assert not {node.op_type for node in graph.node} & {*REFUSED, "Resize"}
    batch, channels, height, width = graph.input[0].type.tensor_type.shape.dim
    assert channels.dim_value == 3
    assert all(side.dim_param for side in (batch, height, width))


def test_raw_predictions_are_refused(exported):
    with pytest.raises(ConfigError, match=r"^export: task 'det' tells raw .* leave --letterbox out\.$"):
        capture(exported.model, "image", raw=True, letterbox=True)


def test_nearest_pixels_are_refused(exported):
    model = with_canvas(exported.model, "image", (32, 48))
    model.framing = Letterbox(32, 48, "nearest")
    with pytest.raises(ConfigError, match=r"^export: this model resizes images by the nearest pixel"):
        capture(model, "image", letterbox=True)
