"""Small models of spot tasks, images for them, and a comparison of their results."""

import torch
from torch import Tensor

from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.structures.instances import Instances
from support.models.spot_task import SpotConfig, spot_class


def make(categories: Categories = COCO_CATEGORIES, **settings: SpotConfig) -> MultiTaskViT:
    """Return a model of two blocks with a task for each keyword."""
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options={"depth": 2})
    tasks = [spot_class(name)(config, categories) for name, config in settings.items()]
    return MultiTaskViT(backbone, tasks, categories, person_canvas=(64, 48)).eval()


def picture(height: int = 50, width: int = 80) -> Tensor:
    """Return an image of random pixels, smooth enough to survive a resize."""
    coarse = torch.randint(0, 256, (1, 3, 5, 5)).float()
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return fine[0].to(torch.uint8)


def assert_same(a: Instances, b: Instances, atol: float) -> None:
    """Compare two results."""
    assert (a.height, a.width, a.tasks, a.file_name) == (b.height, b.width, b.tasks, b.file_name)
    assert torch.equal(a.instances.labels, b.instances.labels)
    torch.testing.assert_close(a.scores, b.scores, atol=atol, rtol=0)
    torch.testing.assert_close(
        a.boxes / max(a.height, a.width), b.boxes / max(b.height, b.width), atol=atol, rtol=0
    )
