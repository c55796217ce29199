"""What cannot become one graph is refused before any work is done."""

import pytest

import mtvit_core
from mtvit_core.deploy.graph.capture import with_canvas
from mtvit_core.errors import ConfigError
from mtvit_core.structures.framing import Letterbox, ShortSide


@pytest.fixture
def model():
    return mtvit_core.build("vit_tiny_patch16_224", {"det": {"queries": 3}}, canvas=(32, 48))


def test_another_canvas_shares_the_weights(model):
    changed = with_canvas(model, "image", (64, 32))
    assert changed.canvases["image"] == (64, 32)
    assert changed.framing == Letterbox(64, 32)
    assert model.canvases["image"] == (32, 48)
    assert changed.backbone is model.backbone


def test_a_canvas_that_does_not_fit_is_refused(model):
    with pytest.raises(ConfigError, match="export: --size: 60 x 32 pixels is not a multiple of the patch"):
        with_canvas(model, "image", (60, 32))
    model.framing = ShortSide(32, 48, 16)
    with pytest.raises(ConfigError, match="the canvases of this model differ in size from image to image"):
        with_canvas(model, "image", None)
