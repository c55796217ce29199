"""Blobs pasted from unlabelled images: their masks, boxes and the loss that finds them."""

import torch

from mtvit_core.backbone import create_backbone
from mtvit_train.pasting import BLOBS, BlobFinder, Pasted, blob_boxes, blob_masks, paste
from mtvit_train.scenes import render_scene


def scenes() -> torch.Tensor:
    planes = [torch.from_numpy(render_scene(2, index, 64).image.copy()) for index in range(4)]
    return torch.stack(planes).permute(0, 3, 1, 2)


def test_blobs_are_of_the_size_of_objects() -> None:
    masks = blob_masks(64, 128)
    boxes = blob_boxes(masks.long())[:, 0]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1).values
    assert sides.quantile(0.1) > 0.05
    assert sides.quantile(0.9) < 0.75
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_boxes_are_tight_around_what_is_visible() -> None:
    owner = torch.zeros(1, 16, 32, dtype=torch.int64)
    owner[0, 2:6, 8:24] = 1
    owner[0, 4:10, 20:28] = 2  # covers the lower right of the first
    boxes = blob_boxes(owner)
    assert boxes.shape == (1, BLOBS, 4)
    assert boxes[0, 0].tolist() == [8 / 32, 2 / 16, 24 / 32, 6 / 16]
    assert boxes[0, 1].tolist() == [20 / 32, 4 / 16, 28 / 32, 10 / 16]
    assert not boxes[0, 2:].any()


def test_compositions_differ_where_blobs_are_pasted() -> None:
    torch.manual_seed(0)
    first = paste(scenes(), 8)
    assert first.images.dtype == torch.uint8
    assert first.owner.amax() <= BLOBS
    assert all((first.owner[i] > 0).any() for i in range(8))
    torch.manual_seed(0)
    again = paste(scenes(), 8)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.owner, again.owner)


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    options: dict[str, bool | int | float | str] = {
        "patch_size": 16,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
    }
    model = BlobFinder(create_backbone("vit_tiny_patch16_224", (64, 64), options=options))
    batch: Pasted = model.sample(scenes(), 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(40):
        loss = model(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_images_without_blobs_have_a_finite_loss() -> None:
    options: dict[str, bool | int | float | str] = {"embed_dim": 32, "depth": 1, "num_heads": 2}
    model = BlobFinder(create_backbone("vit_tiny_patch16_224", (64, 64), options=options))
    empty = Pasted(scenes(), torch.zeros(4, 64, 64, dtype=torch.int64))
    loss = model(empty)
    loss.backward()
    assert torch.isfinite(loss)
