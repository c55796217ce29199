"""What a graph tells is what tasks find; the way it takes while it is exported gives the same numbers."""

import pytest
import torch

import mtvit_core
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.outputs import form_of
from mtvit_core.model.backbone import create_backbone
from mtvit_core.structures.framing import ImageMeta

TASKS = {"det": {"queries": 9}, "seg": {"queries": 9, "mask_width": 8}, "pose": {"queries": 6}}


@pytest.fixture
def model():
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options={"depth": 2, "embed_dim": 24})
    built = mtvit_core.build(backbone, TASKS).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built


@torch.no_grad()
def test_tensors_become_the_results_of_decode(model):
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    graph = DecodedModel(model, "image")
    tensors, outputs = graph(images), graph.outputs(images)
    predictions = model(images, "image", proposals=False)
    meta = [ImageMeta.whole(64, 96), ImageMeta(50, 70, (64, 90), (7 / 9, 0.0, 0.0, 0.0, 50 / 64, 0.0))]
    for task in model.task_list:
        found = task.from_canvas(form_of(outputs[task.name], task.name, tensors), meta)
        for one, other in zip(found, task.decode(predictions[task.name], meta), strict=True):
            assert len(one) == len(other) > 0
            assert one.to_json() == other.to_json()
        assert tensors[f"{task.name}/kept"].sum() > 0


@torch.no_grad()
def test_the_way_without_loops_gives_the_same_numbers(model, monkeypatch):
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    graph = DecodedModel(model, "image")
    expected = graph(images)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for name, values in graph(images).items():
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_raw_predictions_are_told_on_request(model):
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    graph = DecodedModel(model, "image", raw=True)
    assert {told.kind for told in graph.outputs(images).values()} == {"raw"}
    expected = model(images, "image", proposals=False)
    torch.testing.assert_close(graph(images)["det/logits"], expected["det"].logits)
