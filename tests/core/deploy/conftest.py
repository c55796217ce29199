"""One small model, exported once for all tests here: it takes seconds."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.deploy.graph.capture import Captured, capture
from mtvit_core.deploy.graph.files import onnx_to_openvino, write
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT

CANVAS = (32, 48)


@dataclass(frozen=True)
class Export:
    """A model, its graph, and the graph's files by their endings."""

    model: MultiTaskViT
    captured: Captured
    files: dict[str, Path]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    torch.manual_seed(0)
    backbone = create_backbone("vit_tiny_patch16_224", CANVAS, options={"depth": 1, "embed_dim": 24})
    model = mtvit_core.build(backbone, {"det": {"variant": "yolos", "queries": 4}}).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # layers that start at zero would hide what they do
            parameter.add_(0.1 * torch.randn_like(parameter))
    captured, folder = capture(model, "image"), tmp_path_factory.mktemp("exported")
    files = {ending: folder / f"model{ending}" for ending in (".onnx", ".xml", ".pt2")}
    write(captured, "onnx", files[".onnx"])
    onnx_to_openvino(files[".onnx"], files[".xml"], captured.header)
    write(captured, "pt2", files[".pt2"])
    return Export(model, captured, files)


@pytest.fixture
def shown() -> list[Tensor]:
    """Images of three sizes."""
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((50, 70), (32, 48), (90, 40))]
