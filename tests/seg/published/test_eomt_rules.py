"""Converted EoMT models prepare images, answer and learn as the source does, or as its authors' code does."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import EomtConfig, EomtDinov3Config, EomtDinov3ForUniversalSegmentation, EomtImageProcessor
from transformers import EomtForUniversalSegmentation as Eomt

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_files import read_image
from mtvit_core.structures.masks import decode_rle
from mtvit_seg.decoding.windows import semantic_map, window_starts
from support.tasks.published_cases import complaint, first_and_last, off, randomise, saved
from support.tasks.seg_cases import random_annotations

SIDE = 64
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "num_blocks": 2,
    "num_queries": 12,
    "num_labels": 80,
    "train_num_points": 200,
}


def sure(theirs: Any) -> None:
    """Make classes certain and masks smooth and large, so that there are segments to keep."""
    theirs.class_predictor.weight.data *= 12
    theirs.mask_head.fc3.weight.data *= 0.5
    theirs.attn_mask_probs.zero_()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Any, MultiTaskViT]:
    """A model of transformers that is sure of its answers, and ours."""
    theirs = Eomt(EomtConfig(**SMALL)).eval()
    randomise(theirs)
    sure(theirs)
    return theirs, mtvit_core.load(saved(theirs, tmp_path / "eomt"))


def images_of(coco_mini: Path, count: int) -> list[Tensor]:
    return [read_image(path) for path in sorted((coco_mini / "val2017").glob("*.jpg"))[:count]]


def content(image: Tensor) -> tuple[int, int]:
    """Rows and columns that transformers makes of an image: it truncates where the authors round."""
    height, width = image.shape[-2:]
    scale = SIDE / max(height, width)
    return int(height * scale + 1e-6), int(width * scale + 1e-6)


def test_panoptic_segments_on_real_images(pair: tuple[Any, MultiTaskViT], coco_mini: Path) -> None:
    """Pre- and post-processing as the source's own, on images that both sides resize to the same size."""
    theirs, ours = pair
    processor = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE}, do_pad=True)
    task, kept, same = ours.task_list[0], 0, 0
    images = images_of(coco_mini, 40)
    for image in images:
        if ours.letterbox.content(*image.shape[-2:]) != content(image):
            continue
        same += 1
        inputs = processor(image, return_tensors="pt")["pixel_values"]
        canvas = ours.framing.apply(image)[None]
        torch.testing.assert_close(ours.backbone.normalise(canvas), inputs, atol=1e-5, rtol=1e-5)
        meta = ours.framing.meta(*image.shape[-2:])
        with torch.no_grad():
            outputs, (found,) = theirs(inputs), task.variant.panoptic(ours(canvas)["seg"], [meta])
        sizes = [tuple(image.shape[-2:])]
        (expected,) = processor.post_process_panoptic_segmentation(outputs, sizes, stuff_classes=[])
        assert (found.segment_ids - 1 == expected["segmentation"]).float().mean() > 0.9995
        assert [s.label for s in found.segments] == [s["label_id"] for s in expected["segments_info"]]
        scores = torch.tensor([s.score for s in found.segments])
        torch.testing.assert_close(
            scores, torch.tensor([s["score"] for s in expected["segments_info"]]), atol=1e-4, rtol=1e-4
        )
        kept += len(found.segments)
    assert same > len(images) // 2
    assert kept > same  # there is something to compare


def test_instances_by_the_rule_of_the_paper(pair: tuple[Any, MultiTaskViT], coco_mini: Path) -> None:
    """Transformers answers with one class per query; AP is defined on the 100 best (query, class) pairs."""
    theirs, ours = pair
    for image in images_of(coco_mini, 4):
        height, width = image.shape[-2:]
        rows, columns = ours.letterbox.content(height, width)
        with torch.no_grad():
            outputs = theirs(ours.backbone.normalise(ours.framing.apply(image)[None]))
        logits = F.interpolate(outputs.masks_queries_logits, (SIDE, SIDE), mode="bilinear")
        logits = logits[..., :rows, :columns]
        masks = F.interpolate(logits, (height, width), mode="bilinear")[0]
        best, index = outputs.class_queries_logits[0].softmax(-1)[:, :-1].flatten().topk(100)
        query, label = index // 80, index % 80
        inside = masks > 0
        quality = (masks.sigmoid() * inside).flatten(1).sum(1) / (inside.flatten(1).sum(1) + 1e-6)
        filled = inside[query].flatten(1).any(1)
        scores, order = (best * quality[query])[filled].sort(descending=True, stable=True)
        found = ours.predict([image])[0].instances
        torch.testing.assert_close(found.scores, scores, atol=1e-5, rtol=1e-3)
        assert len(found) == int(filled.sum())
        firm = scores > 0.01  # below, float noise may change the order
        labels = label[filled][order]
        assert (found.labels == labels)[firm].float().mean() > 0.9
        first = query[filled][order][0]
        assert found.rles[0] is not None
        agree = torch.from_numpy(decode_rle(found.rles[0])) == inside[first]
        assert agree.float().mean() > 0.999


def test_semantic_windows(pair: tuple[Any, MultiTaskViT], coco_mini: Path) -> None:
    """Windows, averages and classes as the source's own, on images that both resize to the same size."""
    theirs, ours = pair
    size = {"shortest_edge": SIDE, "longest_edge": None}
    processor = EomtImageProcessor(size=size, do_split_image=True)
    compared = 0
    for image in images_of(coco_mini, 16):
        height, width = image.shape[-2:]
        scale = SIDE / min(height, width)
        if (int(height * scale), int(width * scale)) != (round(height * scale), round(width * scale)):
            continue
        inputs = processor(image, return_tensors="pt")
        with torch.no_grad():
            outputs = theirs(inputs["pixel_values"])
        outputs.patch_offsets = inputs["patch_offsets"]
        (expected,) = processor.post_process_semantic_segmentation(outputs, [(height, width)])
        found = semantic_map(ours, image)
        assert (found == expected).float().mean() > 0.999
        compared += len(inputs["pixel_values"]) > 1
    assert compared > 2


def test_windows_cover_every_pixel() -> None:
    for length in range(64, 400, 7):
        starts = window_starts(length, 64)
        assert len(starts) == math.ceil(length / 64)
        assert (starts[0], starts[-1]) == (0, length - 64 if len(starts) > 1 else 0)
        assert all(b - a <= 64 for a, b in itertools.pairwise(starts))


def test_windows_are_square(tmp_path: Path, pair: tuple[Any, MultiTaskViT]) -> None:
    wide = mtvit_core.convert(saved(pair[0], tmp_path / "again"), image_size=(64, 96))
    assert complaint(lambda: semantic_map(wide, torch.zeros(3, 50, 50, dtype=torch.uint8)), ConfigError) == (
        "semantic windows: the canvas is 64 x 96; windows are square, so build the model with a "
        "square canvas."
    )


def one_set_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides draw the same points for the same number of them, however many masks share a call."""
    draw: Callable[..., Tensor] = torch.rand

    def rand(*size: Any, **options: Any) -> Tensor:
        shape = size[0] if isinstance(size[0], tuple | list | torch.Size) else size
        if len(shape) < 2 or shape[-1] != 2:
            return draw(*size, **options)
        points = draw(shape[-2], 2, generator=torch.Generator().manual_seed(shape[-2]))
        return points.expand(*shape).clone()

    monkeypatch.setattr(torch, "rand", rand)


@pytest.mark.parametrize("kind", ["dinov2", "dinov3"])
def test_losses_and_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """With masked attention and every depth supervised: the loss, and gradients of both ends of it."""
    if kind == "dinov2":
        theirs: Any = Eomt(EomtConfig(**SMALL))
    else:  # without the random stretching of rotary positions
        config = EomtDinov3Config(**SMALL, intermediate_size=128, pos_embed_rescale=None)
        theirs = EomtDinov3ForUniversalSegmentation(config)
    randomise(theirs)
    theirs.attn_mask_probs.fill_(1)
    theirs.criterion.empty_weight.fill_(1)[-1] = 0.1  # which the settings say
    ours = mtvit_core.load(saved(theirs, tmp_path / "eomt")).train()
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    annotations = random_annotations([3, 2], SIDE, SIDE)
    one_set_of_points(monkeypatch)
    meta = tuple(ImageMeta.whole(SIDE, SIDE) for _ in annotations)
    loss = torch.stack([*ours.losses(Batch(images, tuple(annotations), meta)).values()]).sum()
    outputs = theirs.train()(
        ours.backbone.normalise(images),
        mask_labels=[a.masks.float() for a in annotations if a.masks is not None],
        class_labels=[a.labels for a in annotations],
    )
    torch.testing.assert_close(loss, outputs.loss.squeeze(), rtol=1e-4, atol=1e-6)
    loss.backward()
    outputs.loss.squeeze().backward()
    own, other = first_and_last(ours.backbone.vit.blocks), first_and_last(theirs.layers)
    for block, layer in zip(own, other, strict=True):
        attention = layer.attention
        parts = [getattr(attention, f"{part}_proj").weight.grad for part in "qkv"]
        assert off(block.attn.qkv.weight.grad, torch.cat(parts)) < 1e-4
        last = layer.mlp.fc2 if kind == "dinov2" else layer.mlp.down_proj
        assert off(block.mlp.fc2.weight.grad, last.weight.grad) < 1e-4
        assert off(block.norm1.weight.grad, layer.norm1.weight.grad) < 1e-4


def test_rotary_positions_are_stretched_in_training(tmp_path: Path) -> None:
    theirs = EomtDinov3ForUniversalSegmentation(EomtDinov3Config(**SMALL, intermediate_size=128))
    randomise(theirs)
    rope = mtvit_core.load(saved(theirs, tmp_path / "eomt")).backbone.vit.rope
    first, second = (rope.train().get_embed((4, 4)) for _ in range(2))
    assert not torch.equal(first, second)
    rope.eval()
    assert torch.equal(rope.get_embed((4, 4)), rope.get_embed((4, 4)))


def test_further_tasks_leave_the_masks_as_they_are(pair: tuple[Any, MultiTaskViT], tmp_path: Path) -> None:
    """With a frozen backbone, isolated det and pose learn, and segmentation gives the same bits."""
    _, ours = pair
    more = mtvit_core.add_tasks(ours, {"det": {"queries": 8}, "pose": {"queries": 6}})
    assert [task.name for task in more.task_list] == ["seg", "det", "pose"]
    assert not more.training
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)

    def same_bits(model: MultiTaskViT) -> bool:
        with torch.no_grad():
            a, b = ours(images)["seg"], model(images)["seg"]
        return torch.equal(a.logits, b.logits) and torch.equal(a.mask_logits, b.mask_logits)

    before = {key: value.clone() for key, value in ours.state_dict().items()}
    assert same_bits(more)
    fresh = [p for n, p in more.named_parameters() if n.startswith(("tasks.det.", "tasks.pose."))]
    optimizer = torch.optim.SGD(fresh, lr=1e-3)
    annotations = random_annotations([3, 2], SIDE, SIDE)
    meta = tuple(ImageMeta.whole(SIDE, SIDE) for _ in annotations)
    for _ in range(2):
        terms = more.train().losses(Batch(images, tuple(annotations), meta))
        loss = torch.stack([v for name, v in terms.items() if name.startswith(("det/", "pose/"))]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    more.eval()
    assert same_bits(more)
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
    mtvit_core.save(more, tmp_path / "more.safetensors")
    assert same_bits(mtvit_core.load(tmp_path / "more.safetensors"))
    assert same_bits(mtvit_core.load(tmp_path / "more.safetensors", ["seg"]))
    assert more.categories == COCO_CATEGORIES
