"""The fusing decoder: which depths it reads, and how fine its map is."""

import pytest
import torch

import mtvit_core
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_dense.decoders.fuse import FuseRequest, doublings


def spec(depth: int, patch: int = 16) -> BackboneSpec:
    return BackboneSpec(24, depth, (patch, patch), (64, 96), 2)


@pytest.mark.parametrize(("patch", "cell"), [(4, 4), (8, 4), (14, 3.5), (16, 4), (32, 4), (2, 2)])
def test_cells_are_at_most_four_pixels_wide(patch: int, cell: float) -> None:
    assert patch / 2 ** doublings(patch) == cell


@pytest.mark.parametrize(
    ("depth", "count", "read"),
    [(12, 4, [3, 6, 9]), (6, 3, [2, 4]), (24, 4, [6, 12, 18]), (2, 4, [1]), (12, 1, [])],
)
def test_depths_are_spread_evenly(depth: int, count: int, read: list[int]) -> None:
    assert list(FuseRequest(8, count).depths(spec(depth))) == read


def test_every_depth_reaches_the_map_and_other_canvases_fit() -> None:
    options = {"embed_dim": 24, "depth": 4, "num_heads": 2}
    backbone = mtvit_core.create_backbone("vit_tiny_patch16_224", (32, 64), options=options)
    model = mtvit_core.build(backbone, {"depth": {"channels": 8}})
    images = torch.randint(0, 256, (1, 3, 48, 32), dtype=torch.uint8)
    found = model(images)["depth"]
    assert found.values.shape == (1, 1, 12, 8)
    found.values.sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in model.decoders["fuse_8_4"].project)
