"""Published YOLOS checkpoints give the outputs, losses and gradients of transformers' models."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import YolosImageProcessor

import mtvit_core
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import ImageMeta, ShortSide
from support.tasks.det_cases import random_annotations
from support.tasks.published_cases import first_and_last, off, saved
from support.tasks.yolos_cases import SIZE, compare, official, yolos

OTHERS = [SIZE, (64, 224), (144, 96), (160, 96)]


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("eps", [1e-6, 1e-12])
def test_outputs(tmp_path: Path, between: bool, eps: float) -> None:
    theirs = yolos(use_mid_position_embeddings=between, layer_norm_eps=eps)
    ours = mtvit_core.load(saved(theirs, tmp_path / "yolos"))
    assert ours.backbone.spec.canvas == SIZE
    for size in OTHERS:
        assert compare(theirs, ours, size) < 1e-4, size


def test_heads_of_an_odd_width_without_biases(tmp_path: Path) -> None:
    """YOLOS-S dWr has heads of 55."""
    theirs = yolos(hidden_size=66, intermediate_size=264, num_attention_heads=6, qkv_bias=False)
    assert compare(theirs, mtvit_core.load(saved(theirs, tmp_path / "yolos")), OTHERS[1]) < 1e-4


def test_the_epsilon_is_that_of_the_source(tmp_path: Path) -> None:
    """Files of transformers say 1e-12, the authors trained with 1e-6; outputs of the two differ a little."""
    same = yolos().state_dict()
    models = {}
    for eps in (1e-6, 1e-12):
        theirs = yolos(layer_norm_eps=eps)
        theirs.load_state_dict(same)
        models[eps] = mtvit_core.load(saved(theirs, tmp_path / str(eps)))
        assert compare(theirs, models[eps], SIZE) < 1e-5
        assert models[eps].backbone.vit.blocks[1].norm2.eps == eps
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad():
        a, b = (models[eps](images)["det"].logits for eps in (1e-6, 1e-12))
    assert 0 < off(a, b) < 1e-3


@pytest.mark.parametrize("spelling", ["vit.encoder.", "vit.encoder.interpolation."])
def test_both_spellings_of_the_tables_between(tmp_path: Path, spelling: str) -> None:
    theirs = yolos()
    path = saved(theirs, tmp_path / "yolos") / "model.safetensors"
    weights = load_file(path)
    (old,) = [key for key in weights if "mid_position" in key]
    weights[f"{spelling}mid_position_embeddings"] = weights.pop(old)
    save_file(weights, path)
    assert compare(theirs, mtvit_core.load(tmp_path / "yolos"), OTHERS[1]) < 1e-4


def test_the_official_file(tmp_path: Path) -> None:
    theirs = yolos(hidden_size=192, num_attention_heads=3, intermediate_size=768, image_size=[512, 864])
    path = tmp_path / "yolos_s.pth"
    torch.save({"model": official(theirs), "epoch": 3, "args": argparse.Namespace(lr=1e-4)}, path)
    ours = mtvit_core.load(path)
    assert ours.categories == COCO_CATEGORIES
    assert ours.framing == ShortSide(800, 1333, 16, capped="rounded")
    assert compare(theirs, ours, SIZE) < 1e-4


def test_the_smallest_official_model_is_shown_smaller_images(tmp_path: Path) -> None:
    theirs = yolos(
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=64,
        image_size=[800, 1333],
        use_mid_position_embeddings=False,
    )
    path = tmp_path / "yolos_ti.pth"
    torch.save({"model": official(theirs)}, path)
    ours = mtvit_core.load(path)
    assert ours.framing == ShortSide(512, 853, 16, capped="rounded")
    assert ours.backbone.spec.canvas == (800, 1328)


def test_categories(tmp_path: Path) -> None:
    folder = saved(yolos(), tmp_path / "yolos")
    assert mtvit_core.load(folder).categories == COCO_CATEGORIES
    config = json.loads((folder / "config.json").read_text())
    names = {str(i): "N/A" for i in range(91)} | {str(c.id): c.name for c in COCO_CATEGORIES}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names}))
    assert mtvit_core.load(folder).categories == COCO_CATEGORIES
    known = {str(c.id): c.name for c in COCO_CATEGORIES}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": known}))
    assert mtvit_core.load(folder).categories == COCO_CATEGORIES
    folder = saved(yolos(num_labels=2), tmp_path / "two")
    assert [(c.id, c.name) for c in mtvit_core.load(folder).categories] == [(0, "class 0"), (1, "class 1")]


def test_sizes_are_those_of_the_processor() -> None:
    processor = YolosImageProcessor(size={"shortest_edge": 512, "longest_edge": 853})
    framing = ShortSide(512, 853, 16)
    for _ in range(60):
        height, width = torch.randint(40, 900, (2,)).tolist()
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        expected = processor(image, return_tensors="pt")["pixel_values"].shape[-2:]
        assert framing.content(height, width) == tuple(expected), (height, width)


def test_an_unused_column_is_never_chosen(tmp_path: Path) -> None:
    """Transformers answers with a column that is no category; here the best category is the answer."""
    theirs = yolos()
    theirs.class_labels_classifier.layers[2].bias.data[12] = 50
    ours = mtvit_core.load(saved(theirs, tmp_path / "yolos"))
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8)
    (found,) = ours.predict([image])
    with torch.no_grad():
        logits = theirs(ours.backbone.normalise(ours.framing.apply(image)[None])).logits[0]
    assert (logits.argmax(-1) == 12).all()
    known = torch.tensor([c.id for c in COCO_CATEGORIES])
    scores = logits.softmax(-1)[:, known].max(-1).values.sort(descending=True).values
    torch.testing.assert_close(found.scores, scores)


def test_losses_and_gradients(tmp_path: Path) -> None:
    """From the same weights and targets: the three terms, and gradients of the first and the last block."""
    theirs = yolos()
    ours = mtvit_core.load(saved(theirs, tmp_path / "yolos"))
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    annotations = random_annotations((3, 2), SIZE)
    targets = ours.task_list[0].targets(annotations, SIZE, torch.device("cpu"))
    labels = [
        {"class_labels": targets.labels[i, :count], "boxes": targets.boxes[i, :count]}
        for i, count in enumerate(targets.counts)
    ]
    meta = tuple(ImageMeta.whole(*SIZE) for _ in annotations)
    terms = ours.train().losses(Batch(images, tuple(annotations), meta))
    outputs = theirs.train()(ours.backbone.normalise(images), labels=labels)
    expected = {
        "det/class": outputs.loss_dict["loss_ce"],
        "det/l1": 5 * outputs.loss_dict["loss_bbox"],
        "det/giou": 2 * outputs.loss_dict["loss_giou"],
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-6)
    loss = torch.stack([*terms.values()]).sum()
    torch.testing.assert_close(loss, outputs.loss, rtol=1e-4, atol=1e-6)
    loss.backward()
    outputs.loss.backward()
    layers = theirs.vit.encoder.layer
    for block, other in zip(first_and_last(ours.backbone.vit.blocks), first_and_last(layers), strict=True):
        attention = other.attention.attention
        parts = [getattr(attention, name).weight.grad for name in ("query", "key", "value")]
        assert off(block.attn.qkv.weight.grad, torch.cat(parts)) < 1e-4
        assert off(block.mlp.fc2.weight.grad, other.output.dense.weight.grad) < 1e-4
        assert off(block.norm1.bias.grad, other.layernorm_before.bias.grad) < 1e-4
    assert all(value.grad is not None for value in ours.parameters())


def test_the_same_bits_after_saving(tmp_path: Path) -> None:
    ours = mtvit_core.load(saved(yolos(), tmp_path / "yolos"))
    mtvit_core.save(ours, tmp_path / "model.safetensors")
    again = mtvit_core.load(tmp_path / "model.safetensors")
    assert again.framing == ours.framing
    for size in OTHERS:
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        with torch.no_grad():
            a, b = ours(images)["det"], again(images)["det"]
        assert torch.equal(a.logits, b.logits)
        assert torch.equal(a.boxes, b.boxes)


SIZES: dict[str, dict[str, Any]] = {
    "Ti": {"hidden_size": 192, "num_attention_heads": 3, "image_size": [800, 1333]},
    "S": {"hidden_size": 384, "num_attention_heads": 6, "image_size": [512, 864]},
    "S-dWr": {
        "hidden_size": 330,
        "num_attention_heads": 6,
        "num_hidden_layers": 14,
        "image_size": [512, 864],
    },
    "B": {"hidden_size": 768, "num_attention_heads": 12, "image_size": [800, 1344]},
}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_full_sizes(tmp_path: Path, size: str, record_property: Any) -> None:
    settings = {"num_hidden_layers": 12, "num_detection_tokens": 100, **SIZES[size]}
    settings["intermediate_size"] = 4 * settings["hidden_size"]
    theirs = yolos(**settings, use_mid_position_embeddings=size != "Ti", layer_norm_eps=1e-12)
    ours = mtvit_core.load(saved(theirs, tmp_path / "yolos"))
    native = tuple(side // 16 * 16 for side in settings["image_size"])
    for canvas in (native, (512, 672)):
        worst = compare(theirs, ours, canvas)
        record_property(f"YOLOS-{size} at {canvas}: largest relative difference", worst)
        assert worst < 1e-4
