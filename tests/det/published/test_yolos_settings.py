"""Every setting of a YOLOS folder that changes pixels, names or geometry is followed, or refused by name."""

import json
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
from support.tasks.published_cases import complaint, saved
from support.tasks.yolos_cases import yolos

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
