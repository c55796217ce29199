"""Small supernets for tests."""

from typing import Any

import torch

from mtvit_core.backbones.elastic.backbone import ElasticBackbone, elastic
from mtvit_core.backbones.interface import Option
from mtvit_core.model.backbone import create_backbone
from mtvit_core.testing.case import stir

#: Options of a supernet of four blocks, one of which may be absent.
OPTIONS: dict[str, Option] = {
    "patch_size": 16,
    "embed_dim": 48,
    "depth": 4,
    "num_heads": 3,
    "widths": [32, 40, 48],
    "heads": [1, 2, 3],
    "ratios": [2.0, 3.0, 4.0],
    "depths": [3, 4],
}
NAME = "elastic:vit_tiny_patch16_224"
CANVAS = (48, 64)


def supernet(name: str = NAME, canvas: tuple[int, int] = CANVAS, **options: Any) -> ElasticBackbone:
    """A supernet whose weights are all random, in evaluation mode."""
    torch.manual_seed(0)
    made = create_backbone(name, canvas, options={**OPTIONS, **options})
    return elastic(stir(made).eval(), "test")


def noise(canvas: tuple[int, int] = CANVAS, count: int = 2) -> torch.Tensor:
    """Images, always the same."""
    pixels = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, *canvas), dtype=torch.uint8, generator=pixels)
