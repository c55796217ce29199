"""Models of det, seg and pose whose queries are shared, with every weight drawn at random."""

from typing import Any

import torch

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema

CATEGORIES = Categories(
    (
        Category(1, "person", KeypointSchema(("head", "left_hand", "right_hand"), ((1, 2),))),
        Category(7, "cup"),
    )
)
#: Entries differ, so that one of the group is early for some of its members.
SETTINGS = {
    "det": {"queries": 5, "blocks": 2},
    "seg": {"queries": 4, "blocks": 3},
    "pose": {"queries": 3, "blocks": 2},
}


def model_of(*names: str, queries: Any = "instance", **settings: dict[str, Any]) -> MultiTaskViT:
    torch.manual_seed(0)
    options = {"embed_dim": 24, "depth": 3, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (48, 64), options=options)
    tasks = {name: {**SETTINGS.get(name, {}), **settings.get(name, {})} for name in names}
    model = mtvit_core.build(backbone, tasks, CATEGORIES, person_canvas=(64, 48), queries=queries)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return model.eval()


def images(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 48, 64), dtype=torch.uint8, generator=generator)
