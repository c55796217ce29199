"""Who leaves is fitted to what a model finds; the rest of the model stays as it is."""

from dataclasses import replace

import pytest
import torch

import mtvit_core
from mtvit_core.deploy.fewer_tokens import with_fewer_tokens
from mtvit_core.deploy.graph.capture import capture
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.files import onnx_to_openvino, write
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.modes import evaluating

CANVAS = (128, 128)  # 64 patches


@pytest.fixture
def model():
    torch.manual_seed(0)
    options = {"depth": 3, "embed_dim": 24, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", CANVAS, options=options)
    return mtvit_core.build(backbone, {"det": {"queries": 4}}).eval()


def finding(model, monkeypatch, score):
    """Let the model find one object in the upper left quarter of every image of 128 x 128."""

    def predict(images, **_):
        found = model.__class__.predict(model, images, min_score=0.0, link=False)
        box = torch.tensor([[2.0, 2, 60, 60]])
        return [
            replace(r, instances=replace(r.instances[:1], boxes=box, scores=torch.tensor([score])))
            for r in found
        ]

    monkeypatch.setattr(model, "predict", predict, raising=False)


def test_patches_of_objects_stay(model, monkeypatch, tmp_path):
    images = [torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8) for _ in range(20)]
    for image in images:
        image[:, :64, :64] //= 8
    finding(model, monkeypatch, 0.9)
    fewer = with_fewer_tokens(model, 1, 0.5, images)
    canvases = torch.stack([model.letterbox.apply(image) for image in images])
    with torch.no_grad():
        tokens = model.backbone.context(canvases, [1])[1][:, 1:]
        stay = fewer.backbone.fewer.scores(tokens, (8, 8)).topk(32, 1).indices
    inside = (torch.arange(4)[:, None] * 8 + torch.arange(4)).flatten()  # 4 x 4 of 8 x 8 patches
    assert torch.isin(stay, inside).sum(1).float().mean() > 15
    for name, value in model.state_dict().items():
        assert torch.equal(fewer.state_dict()[name], value)
    mtvit_core.save(fewer, tmp_path / "fewer.safetensors")
    again = mtvit_core.load(tmp_path / "fewer.safetensors")
    assert again.backbone.options == {**model.backbone.options, "keep": 0.5, "keep_after": 1}
    with torch.no_grad():
        for one, other in zip(fewer(canvases)["det"].boxes, again(canvases)["det"].boxes, strict=True):
            assert torch.equal(one, other)


def test_it_is_exported_and_finds_the_same(model, monkeypatch, tmp_path):
    images = [torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8) for _ in range(4)]
    finding(model, monkeypatch, 0.9)
    fewer = with_fewer_tokens(model, 1, 0.5, images).eval()
    files, captured = [tmp_path / "model.onnx", tmp_path / "model.xml"], capture(fewer, "image")
    write(captured, "onnx", files[0])
    onnx_to_openvino(files[0], files[1], captured.header)
    canvases = torch.stack(images)
    with evaluating(fewer):
        expected = DecodedModel(fewer, "image")(canvases)
    for file in files:
        found = open_session(file).run(canvases.numpy())
        assert (found["det/queries"] == expected["det/queries"].numpy()).all()
        torch.testing.assert_close(
            torch.from_numpy(found["det/scores"]), expected["det/scores"], rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            torch.from_numpy(found["det/boxes"]), expected["det/boxes"], rtol=0, atol=1e-3
        )


def test_nothing_to_fit_to_is_refused(model, monkeypatch):
    images = [torch.zeros(3, 64, 64, dtype=torch.uint8)]
    with pytest.raises(DataError, match=r"the model finds nothing with a score of 0.3 or more"):
        with_fewer_tokens(model, 1, 0.5, images)
    with pytest.raises(ConfigError, match=r"keep is 1; take a plain ViT of timm, and a keep between 0 and 1"):
        with_fewer_tokens(model, 1, 1.0, images)
