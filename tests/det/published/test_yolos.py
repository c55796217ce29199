"""Published YOLOS checkpoints give the outputs of transformers' models; what is wrong with one is said."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import YolosForObjectDetection, YolosImageProcessor

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import ImageMeta, ShortSide
from mtvit_core.structures.image_files import read_image
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.warm_start import known_categories, read_start
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from mtvit_train.data.samples.images import collate
from mtvit_train.engine.evaluate import evaluate
from support.det_cases import random_annotations
from support.published_cases import complaint, first_and_last, off, saved
from support.yolos_cases import SIZE, official, yolos

OTHERS = [SIZE, (64, 224), (144, 96), (160, 96)]
#: Columns of the published heads that are no category of COCO.
UNUSED = sorted(set(range(91)) - set(COCO_CATEGORIES.label_of_id))


def compare(theirs: YolosForObjectDetection, ours: mtvit_core.MultiTaskViT, size: tuple[int, int]) -> float:
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.no_grad():
        found, expected = ours(images)["det"], theirs(ours.backbone.normalise(images))
    # Tokens of the model differ, or anything would do.
    assert expected.logits.std(1).mean() > 1e-2
    return max(off(found.logits[0], expected.logits), off(found.boxes[0], expected.pred_boxes))


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


def test_an_official_file_of_an_unknown_width(tmp_path: Path) -> None:
    path = tmp_path / "yolos.pth"
    torch.save(official(yolos()), path)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: tokens of width 48 are those of no published YOLOS (widths 192, 330, 384, 768); "
        "convert it by way of transformers, whose config.json tells heads."
    )


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


def coco_yolos(folder: Path) -> tuple[YolosForObjectDetection, YolosImageProcessor]:
    """A model that never answers with an unused column, and its processor, both saved."""
    theirs = yolos()
    theirs.class_labels_classifier.layers[2].bias.data[UNUSED] = -50
    processor = YolosImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    processor.save_pretrained(saved(theirs, folder))
    return theirs, processor


def test_results_on_real_images(tmp_path: Path, coco_mini: Path) -> None:
    """Pre- and post-processing as the source's own; only boxes that leave the image are clipped here."""
    theirs, processor = coco_yolos(tmp_path / "yolos")
    ours = mtvit_core.load(tmp_path / "yolos")
    assert ours.framing == ShortSide(96, 160, 16)
    paths = sorted((coco_mini / "val2017").glob("*.jpg"))
    results = ours.predict(paths, batch_size=16)
    sizes = set()
    for path, result in zip(paths, results, strict=True):
        image = read_image(path)
        inputs = processor(image, return_tensors="pt")
        canvas = ours.framing.apply(image)
        torch.testing.assert_close(
            ours.backbone.normalise(canvas[None]), inputs["pixel_values"], atol=1e-5, rtol=1e-5
        )
        with torch.no_grad():
            outputs = theirs(inputs["pixel_values"])
        (expected,) = processor.post_process_object_detection(outputs, 0.0, [tuple(image.shape[-2:])])
        order = expected["scores"].argsort(descending=True, stable=True)
        torch.testing.assert_close(result.scores, expected["scores"][order], atol=1e-5, rtol=1e-4)
        ids = [result.categories[int(label)].id for label in result.instances.labels]
        assert ids == expected["labels"][order].tolist()
        limit = torch.tensor([image.shape[-1], image.shape[-2]] * 2)
        boxes = expected["boxes"][order].clamp(min=0).minimum(limit)
        torch.testing.assert_close(result.boxes, boxes, atol=1e-2, rtol=1e-4)
        sizes.add(tuple(canvas.shape[-2:]))
    assert len(sizes) > 5


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


def test_evaluation_shows_images_as_prediction_does(tmp_path: Path, coco_mini: Path) -> None:
    coco_yolos(tmp_path / "yolos")
    ours = mtvit_core.load(tmp_path / "yolos")
    packed = read_coco(coco_mini, "val", CocoConfig())
    split = make_split(RunConfig(), ours, packed, training=False)
    sample = split.views["image"][0, 5]
    image = read_image(coco_mini / "val2017" / sample.meta.file_name)
    assert torch.equal(sample.image, ours.framing.apply(image))
    assert sample.meta.to_original == ours.framing.meta(*image.shape[-2:]).to_original
    assert 0 <= evaluate(ours, split)["det/AP"] < 0.1
    trained = make_split(RunConfig(), ours, packed, training=True).views["image"][0, 5]
    assert tuple(trained.image.shape[-2:]) == SIZE


def test_a_run_goes_on_from_it(tmp_path: Path, coco_mini: Path) -> None:
    coco_yolos(tmp_path / "yolos")
    given = (f"model.start={tmp_path / 'yolos'}", "tasks.det.loss_class=2.0", "tasks.pose.queries=4")
    config = read_run(None, {"plugins": ("det", "pose"), "data": str(coco_mini)}, given)
    start = read_start(config, ("det", "pose"))
    assert start is not None
    data = read_data(config, coco_mini, known_categories(start, ("det", "pose")))
    model = make_model(config, data.train.categories, start)
    assert [task.name for task in model.task_list] == ["det", "pose"]
    assert data.train.annotated(0) is None
    split = make_split(config, model, data.train, training=True)
    losses = model.train().losses(collate([split.views["image"][0, 5]]))
    assert {"det/class", "pose/class"} <= losses.keys()
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad():
        ours, theirs = model.eval()(images)["det"], mtvit_core.load(tmp_path / "yolos")(images)["det"]
    assert off(ours.logits, theirs.logits) < 1e-6  # isolation; another task changes the shape of products
    assert off(ours.boxes, theirs.boxes) < 1e-6


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


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    folder = saved(yolos(), tmp_path / "yolos")
    whole = load_file(folder / "model.safetensors")

    def refused(**changes: Tensor | None) -> str:
        weights = {k: v for k, v in (whole | changes).items() if v is not None}
        save_file(weights, folder / "model.safetensors")
        start = f"source {folder}: its weights are not those of YOLOS (transformers): "
        text = complaint(lambda: mtvit_core.load(folder))
        assert text.startswith(start)
        return text.removeprefix(start)

    key = "vit.encoder.layer.1.intermediate.dense.weight"
    assert refused(**{key: None}) == f"missing: {key}."
    assert refused(**{key: torch.zeros(48, 192)}) == (
        f"of another shape: {key} is (48, 192) instead of (192, 48)."
    )
    assert refused(**{"vit.pooler.dense.bias": torch.zeros(48)}) == "unexpected: vit.pooler.dense.bias."
    one_block = {k: None for k in whole if k.startswith("vit.encoder.layer.2.")}
    assert refused(**one_block).startswith("missing: vit.encoder.layer.2.attention.attention.key.bias, vit.")
    table = "vit.embeddings.position_embeddings"
    assert refused(**{table: whole[table][:, 1:]}) == (
        f"of another shape: {table} is (1, 67, 48) instead of (1, 68, 48)."
    )


def test_settings_that_cannot_be_followed(tmp_path: Path) -> None:
    folder = saved(yolos(), tmp_path / "yolos")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert complaint(lambda: mtvit_core.load(folder)) == (
        f"source {folder}: its config.json has hidden_act 'relu'; only 'gelu' is known here."
    )
    del config["image_size"]
    (folder / "config.json").write_text(json.dumps(config))
    assert complaint(lambda: mtvit_core.load(folder)) == (
        f"source {folder}: its config.json lacks 'image_size'."
    )


def test_columns_for_the_ids() -> None:
    settings = {"det": {"variant": "yolos", "id_columns": 90}}
    assert complaint(lambda: mtvit_core.build("vit_tiny_patch16_224", settings), ConfigError) == (
        "config: tasks.det.id_columns is 90, but category 90 needs its id as column; leave the setting out "
        "for a column per category."
    )


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
