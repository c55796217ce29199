"""Every setting of a YOLOS folder that changes pixels, names or geometry is followed, or refused by name."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import PretrainedConfig, YolosConfig, YolosForObjectDetection, YolosImageProcessor
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

import mtvit_core
from mtvit_core.published.source import Source
from mtvit_core.structures.framing import ShortSide
from mtvit_det.published.yolos_settings import CONFIG, PROCESSOR, processor_framing
from support.published_cases import complaint, saved
from support.yolos_cases import official, yolos

SIZE = {"shortest_edge": 96, "longest_edge": 160}
#: Settings of a processor that are followed, beside those that everybody has.
FOLLOWED: dict[str, dict[str, Any]] = {
    "sides": {"size": {"shortest_edge": 80, "longest_edge": 140}},
    "a box": {"size": {"max_height": 150, "max_width": 120}},
    "rows and columns": {"size": {"height": 100, "width": 139}},
    "no resizing": {"do_resize": False},
    "nearest": {"size": SIZE, "resample": 0},
    "bicubic": {"size": {"max_height": 131, "max_width": 131}, "resample": 3},
    "bicubic, cut": {"size": {"height": 71, "width": 90}, "resample": 3},
    "mean and deviation": {"size": SIZE, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
    "one mean for all": {"size": SIZE, "image_mean": [0.5], "image_std": [0.25]},
    "no normalisation": {"size": SIZE, "do_normalize": False},
    "no scaling": {"size": SIZE, "do_rescale": False},
    "another scale": {
        "size": SIZE,
        "rescale_factor": 1 / 127.5,
        "image_mean": [1.0] * 3,
        "image_std": [1.0] * 3,
    },
    "a scale alone": {"size": SIZE, "rescale_factor": 1 / 128, "do_normalize": False},
    "no padding": {"size": SIZE, "do_pad": False},
    "a crop that is never taken": {
        "size": SIZE,
        "do_center_crop": True,
        "crop_size": {"height": 9, "width": 9},
    },
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[YolosForObjectDetection, Path]:
    """A model whose answers depend on every pixel, and its folder."""
    theirs = yolos(num_labels=3, use_mid_position_embeddings=False)
    return theirs, saved(theirs, tmp_path_factory.mktemp("yolos"))


@pytest.mark.parametrize("kind", FOLLOWED)
def test_results_are_those_of_transformers(source: tuple[YolosForObjectDetection, Path], kind: str) -> None:
    theirs, folder = source
    processor = YolosImageProcessor(**FOLLOWED[kind])
    processor.save_pretrained(folder)
    ours = mtvit_core.load(folder)
    for height, width in ((144, 192), (201, 67)):
        pixels = np.random.default_rng(height).integers(
            0, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8
        )
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        with torch.no_grad():
            outputs = theirs(processor(images=image, return_tensors="pt")["pixel_values"].float())
        (expected,) = processor.post_process_object_detection(outputs, 0.0, [(height, width)])
        (found,) = ours.predict([image])
        order = expected["scores"].argsort(descending=True, stable=True)
        torch.testing.assert_close(found.scores, expected["scores"][order], atol=1e-4, rtol=1e-3)
        limit = torch.tensor([width, height] * 2)
        boxes = expected["boxes"][order].clamp(min=0).minimum(limit)
        torch.testing.assert_close(found.boxes, boxes, atol=0.05, rtol=1e-3)


def test_what_is_followed_comes_back_from_our_file(
    source: tuple[YolosForObjectDetection, Path], tmp_path: Path
) -> None:
    _, folder = source
    settings = FOLLOWED["mean and deviation"] | FOLLOWED["bicubic"]
    YolosImageProcessor(**settings).save_pretrained(folder)
    ours = mtvit_core.load(folder)
    mtvit_core.save(ours, tmp_path / "model.safetensors")
    again = mtvit_core.load(tmp_path / "model.safetensors")
    assert again.framing == ours.framing
    image = torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8)
    assert torch.equal(again.predict([image])[0].boxes, ours.predict([image])[0].boxes)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"size": {"shortest_edge": 96}},
            "size {'shortest_edge': 96}; a number, shortest_edge and longest_edge,",
        ),
        ({"size": {"longest_edge": 96}}, "size {'longest_edge': 96}; a number, shortest_edge"),
        ({"size": {"min_pixels": 9, "max_pixels": 99}}, "size {'min_pixels': 9, 'max_pixels': 99}; a number"),
        ({"size": {"height": 0, "width": 5}}, "size {'height': 0, 'width': 5}; a number"),
        ({"size": "large"}, "size 'large'; a number"),
        ({"resample": [2]}, "resample [2]; only 0 (nearest), 2"),
        ({"resample": 1}, "resample 1; only 0 (nearest), 2 (bilinear), 3 (bicubic) are known"),
        ({"pad_size": {"height": 200, "width": 200}}, "pad_size {'height': 200, 'width': 200}; only None"),
        (
            {"image_processor_type": "DetrImageProcessor"},
            "image_processor_type 'DetrImageProcessor'; only 'Yolos",
        ),
        ({"image_mean": [0.5, 0.5]}, "image_mean [0.5, 0.5]; a number or 3 are known"),
        ({"image_std": [0.5, 0.5, 0]}, f"rescale_factor {1 / 255} and image_std [0.5, 0.5, 0.0]; both"),
        ({"rescale_factor": "1/255"}, "rescale_factor '1/255'; a number or 1 are known"),
        ({"do_sharpen": True}, "do_sharpen True, a step that is not known here."),
    ],
)
def test_what_cannot_be_followed_is_named(
    source: tuple[YolosForObjectDetection, Path], settings: dict[str, Any], words: str
) -> None:
    _, folder = source
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": SIZE} | settings))
    assert f"its preprocessor_config.json has {words}" in complaint(lambda: mtvit_core.load(folder))


def test_older_files_say_a_number() -> None:
    def framing(**processor: Any) -> Any:
        return processor_framing(Source("here", {}, processor=processor))

    assert framing(size=512) == ShortSide(512, 1333, 16)
    assert framing(size=512, max_size=864) == ShortSide(512, 864, 16)
    assert framing(do_pad=True) == ShortSide(800, 1333, 16)


@pytest.mark.parametrize("size", ["96", [96], [96, 0], [96, 160, 3], [96.0, 160], True, {"height": 96}])
def test_sizes_that_are_none_are_refused(
    source: tuple[YolosForObjectDetection, Path], tmp_path: Path, size: Any
) -> None:
    folder = named(source[1], tmp_path, {})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_size": size}))
    assert (
        f"its config.json has image_size {size!r}; a number, or rows and columns, are known here."
        in complaint(lambda: mtvit_core.load(folder))
    )


def test_every_setting_of_transformers_has_a_rule() -> None:
    """A setting that a new version brings is noticed here."""
    assert YolosConfig().to_dict().keys() - PretrainedConfig().to_dict().keys() <= CONFIG.known
    for kind in (YolosImageProcessor, YolosImageProcessorPil):
        assert set(kind.valid_kwargs.__annotations__) <= PROCESSOR.known
        written = json.loads(kind(size=SIZE).to_json_string())
        PROCESSOR.check(written, "what transformers writes")
    assert "id2label" in CONFIG.followed


def test_sizes_are_those_of_transformers_whatever_the_aspect() -> None:
    processor = YolosImageProcessor()
    framing = ShortSide(48, 80, 16)
    for height in range(1, 130, 7):
        for width in range(1, 200, 11):
            image = torch.zeros(3, height, width, dtype=torch.uint8)
            try:
                expected = processor(image, size={"shortest_edge": 48, "longest_edge": 80})["pixel_values"]
            except (RuntimeError, ValueError):  # a side of nothing
                continue
            rows, columns = expected[0].shape[-2:]
            if rows and columns:
                assert framing.content(height, width) == (rows, columns), (height, width)


def authors_size(height: int, width: int, size: int, longest: int) -> tuple[int, int]:
    """Rows and columns by the rule of the authors' code, from its description alone."""
    shorter, longer = sorted((height, width))
    if longer / shorter * size > longest:
        size = round(longest * shorter / longer)
    if shorter == size:
        rows, columns = height, width
    elif width < height:
        rows, columns = int(size * height / width), size
    else:
        rows, columns = size, int(size * width / height)
    return rows - rows % 16, columns - columns % 16


def test_an_official_file_rounds_as_its_authors() -> None:
    """Above an aspect of ten, the short side is rounded before the long one is computed of it."""
    framing = ShortSide(800, 1333, 16, capped="rounded")
    others = 0
    rng = np.random.default_rng(0)
    for _ in range(3000):
        aspect, short = math.exp(rng.uniform(0, 4)), int(rng.integers(20, 900))
        sides = (short, int(short * aspect))
        height, width = sides if rng.random() < 0.5 else sides[::-1]
        expected = authors_size(height, width, 800, 1333)
        if min(expected):
            assert framing.content(height, width) == expected, (height, width)
            others += ShortSide(800, 1333, 16).content(height, width) != expected
    assert others > 50


def written(path: Path, weights: dict[str, torch.Tensor], **arguments: Any) -> Path:
    """A file as the authors' training writes it."""
    given = argparse.Namespace(lr=1e-4, dataset_file="coco", device="cuda", **arguments)
    torch.save({"model": weights, "optimizer": {"state": {}}, "epoch": 3, "args": given}, path)
    return path


def test_grids_and_size_are_read_from_the_arguments(tmp_path: Path) -> None:
    theirs = yolos(hidden_size=192, num_attention_heads=3, image_size=[96, 160])
    path = written(
        tmp_path / "yolos.pth",
        official(theirs),
        init_pe_size=[96, 160],
        mid_pe_size=[96, 160],
        eval_size=96,
        backbone_name="tiny",
    )
    ours = mtvit_core.load(path)
    assert ours.backbone.spec.grid == (6, 10)
    assert ours.framing == ShortSide(96, 96 * 1333 // 800, 16, capped="rounded")
    for size in ((96, 160), (160, 96), (64, 128)):
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        with torch.no_grad():
            found, expected = ours(images)["det"], theirs(ours.backbone.normalise(images))
        torch.testing.assert_close(found.logits[0], expected.logits, atol=1e-3, rtol=1e-3)


def resized(table: torch.Tensor, old: tuple[int, int], new: tuple[int, int], tokens: int) -> torch.Tensor:
    """Rows of class token, patches and DET tokens L S D at another grid of patches."""
    patches = table[:, 1:-tokens].unflatten(1, old).permute(0, 3, 1, 2)
    shown = torch.nn.functional.interpolate(patches, size=new, mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], shown.flatten(2).mT, table[:, -tokens:]], 1)


def test_tables_of_unequal_grids(tmp_path: Path) -> None:
    """The authors' code has a size for the first table, and another for those between blocks."""
    theirs = yolos(hidden_size=192, num_attention_heads=3, image_size=[96, 160])
    weights, tokens = official(theirs), 7
    between = torch.randn(2, 1, 1 + 4 * 9 + tokens, 192) * 0.3
    weights["backbone.mid_pos_embed"] = between
    path = written(tmp_path / "yolos.pth", weights, init_pe_size=[96, 160], mid_pe_size=[64, 144])
    ours = mtvit_core.load(path)
    mtvit_core.save(ours, tmp_path / "model.safetensors")
    for model in (ours, mtvit_core.load(tmp_path / "model.safetensors")):
        for grid in ((6, 10), (4, 9), (9, 4), (5, 7)):
            images = torch.randint(0, 256, (1, 3, grid[0] * 16, grid[1] * 16), dtype=torch.uint8)
            first = theirs.vit.embeddings.position_embeddings
            tables = {
                "first": resized(first, (6, 10), grid, tokens),
                "between": resized(between[:, 0], (4, 9), grid, tokens),
            }
            with torch.no_grad():
                expected = by_hand(theirs, model.backbone.normalise(images), tables)
                found = model(images)["det"].logits[0]
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def by_hand(
    theirs: YolosForObjectDetection, pixels: torch.Tensor, tables: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Logits of a model whose tables are given."""
    embeddings, layers = theirs.vit.embeddings, theirs.vit.encoder.layer
    patches = embeddings.patch_embeddings.projection(pixels).flatten(2).mT
    tokens = torch.cat([embeddings.cls_token, patches, embeddings.detection_tokens], 1) + tables["first"]
    for i, layer in enumerate(layers):
        answer = layer(tokens)
        tokens = answer[0] if isinstance(answer, tuple) else answer
        if i < len(layers) - 1:
            tokens = tokens + tables["between"][i]
    last = theirs.vit.layernorm(tokens)[:, -embeddings.detection_tokens.shape[1] :]
    found: torch.Tensor = theirs.class_labels_classifier(last)
    return found


def test_a_grid_that_nothing_tells(tmp_path: Path) -> None:
    weights = official(yolos(hidden_size=192, num_attention_heads=3, image_size=[96, 160]))
    path = written(tmp_path / "yolos.pth", weights, init_pe_size=None)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: backbone.pos_embed is a table of 60 patches, and its arguments do not say "
        "init_pe_size; the published ones have 4150, 1728, 4200. Convert it by way of transformers, whose "
        "config.json tells the grid."
    )
    path = written(tmp_path / "yolos.pth", weights, init_pe_size=[96, 96])
    assert "60 patches, and init_pe_size of its arguments is [96, 96];" in complaint(
        lambda: mtvit_core.load(path)
    )


NAMES: dict[str, tuple[dict[Any, Any], list[tuple[int, str]]]] = {
    "complete": ({0: "cat", 1: "dog", 2: "bird"}, [(0, "cat"), (1, "dog"), (2, "bird")]),
    "two left unnamed": ({0: "LABEL_0", 2: "bird"}, [(0, "class 0"), (1, "class 1"), (2, "bird")]),
    "one hidden": ({0: "N/A", 1: "dog", 2: "bird"}, [(1, "dog"), (2, "bird")]),
    "none": ({}, [(0, "class 0"), (1, "class 1"), (2, "class 2")]),
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_column_is_a_class_unless_it_is_hidden(
    source: tuple[YolosForObjectDetection, Path], tmp_path: Path, kind: str
) -> None:
    names, expected = NAMES[kind]
    found = mtvit_core.load(named(source[1], tmp_path, names)).categories
    assert [(category.id, category.name) for category in found] == expected


def named(folder: Path, copy: Path, id2label: Any) -> Path:
    """A copy of a folder with other names."""
    config = json.loads((folder / "config.json").read_text())
    (copy / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (copy / "config.json").write_text(json.dumps(config | {"id2label": id2label}))
    return copy


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        ({"1": "cat", "2": "dog", "3": "bird"}, "3"),
        ({"7": "cat", "0": "dog", "500": "bird"}, "7, 500"),
        ({"cat": "0", "1": "dog"}, "cat"),
        ({"-1": "cat", "²": "dog"}, "-1, ²"),
    ],
)
def test_names_of_what_is_no_column_are_refused(
    source: tuple[YolosForObjectDetection, Path], tmp_path: Path, names: dict[str, str], odd: str
) -> None:
    folder = named(source[1], tmp_path, names)
    assert complaint(lambda: mtvit_core.load(folder)) == (
        f"source {folder}: id2label in its config.json names {odd}, but the class columns are 0 to 2; number "
        "the names as the columns are, from 0."
    )


def test_names_that_leave_nothing_or_are_no_table(
    source: tuple[YolosForObjectDetection, Path], tmp_path: Path
) -> None:
    folder = named(source[1], tmp_path, {str(i): "N/A" for i in range(3)})
    assert "calls every class N/A; name those that" in complaint(lambda: mtvit_core.load(folder))
    folder = named(source[1], tmp_path, ["cat", "dog", "bird"])
    assert "has id2label ['cat', 'dog', 'bird'], no table." in complaint(lambda: mtvit_core.load(folder))


@pytest.mark.parametrize("prefix", ["module.", "model.", "student.module.", "teacher.backbone."])
def test_what_wraps_all_keys_is_taken_off(tmp_path: Path, prefix: str) -> None:
    theirs = yolos(hidden_size=192, num_attention_heads=3, image_size=[512, 864])
    weights = {prefix + key: value for key, value in official(theirs).items()}
    torch.save({"model": weights}, tmp_path / "yolos.pth")
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    ours = mtvit_core.load(tmp_path / "yolos.pth")
    with torch.no_grad():
        expected = theirs(ours.backbone.normalise(images)).logits
        torch.testing.assert_close(ours(images)["det"].logits[0], expected, atol=1e-3, rtol=1e-3)
