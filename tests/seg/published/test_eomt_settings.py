"""Every setting of an EoMT folder that changes pixels, names or geometry is followed, or refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EomtConfig, EomtDinov3Config, EomtImageProcessor, PretrainedConfig
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

import mtvit_core
from mtvit_core.structures.framing import Letterbox
from mtvit_seg.published.eomt_settings import DINOV2_CONFIG, DINOV3_CONFIG, PROCESSOR
from support.tasks.eomt_cases import SIDE, eomt
from support.tasks.published_cases import complaint, saved

SIZE = {"shortest_edge": SIDE, "longest_edge": SIDE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its processor."""
    return saved(eomt(), tmp_path_factory.mktemp("eomt"))


def test_every_setting_of_transformers_has_a_rule() -> None:
    """A setting that a new version brings is noticed here."""
    base = PretrainedConfig().to_dict().keys()
    assert EomtConfig().to_dict().keys() - base <= DINOV2_CONFIG.known
    assert EomtDinov3Config().to_dict().keys() - base <= DINOV3_CONFIG.known
    for kind in (EomtImageProcessor, EomtImageProcessorPil):
        assert set(kind.valid_kwargs.__annotations__) <= PROCESSOR.known
        PROCESSOR.check(json.loads(kind().to_json_string()), "what transformers writes")


@pytest.mark.parametrize(
    "settings",
    [
        {"size": SIZE},
        {"size": {"shortest_edge": SIDE, "longest_edge": None}},
        {"size": SIZE, "resample": 3},
        {"size": SIZE, "resample": 0},
        {"size": SIZE, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.25] * 3},
        {"size": SIZE, "do_rescale": False},
        {"size": SIZE, "do_normalize": False},
    ],
)
def test_pixels_are_those_of_transformers(folder: Path, settings: dict[str, Any]) -> None:
    processor = EomtImageProcessor(**settings, do_pad=True)
    processor.save_pretrained(folder)
    ours = mtvit_core.load(folder)
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 96, 128), np.uint8))
    if settings["size"] is not SIZE:  # with no longest side, transformers makes that of windows
        assert ours.framing == Letterbox(SIDE, SIDE)
        return
    expected = processor(image, return_tensors="pt")["pixel_values"]
    found = ours.backbone.normalise(ours.framing.apply(image)[None])
    torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"size": {"shortest_edge": 96, "longest_edge": 96}},
            "size {'shortest_edge': 96, 'longest_edge': 96}, but",
        ),
        (
            {"size": {"height": SIDE, "width": SIDE}},
            "size {'height': 64, 'width': 64}, but the model is made for",
        ),
        ({"do_resize": False}, "do_resize False; only True is known"),
        ({"resample": 5}, "resample 5; only 0 (nearest), 2 (bilinear), 3 (bicubic) are known"),
        ({"do_reduce_labels": True}, "do_reduce_labels True, a step that is not known"),
    ],
)
def test_what_cannot_be_followed_is_named(folder: Path, settings: dict[str, Any], words: str) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    assert f"its preprocessor_config.json has {words}" in complaint(lambda: mtvit_core.load(folder))
    (folder / "preprocessor_config.json").unlink()


def test_rotary_positions_of_another_kind_are_refused(tmp_path: Path) -> None:
    saved(eomt("eomt_dinov3"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    rope = {"rope_type": "yarn", "rope_theta": 100.0}
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_parameters": rope}))
    assert "rope_parameters of rope_type 'yarn'; only 'default' is" in complaint(
        lambda: mtvit_core.load(tmp_path)
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"0": "wall", "4": "door"}, ["wall", "class 1", "class 2", "class 3", "door"]),
        ({"1": "a", "5": "b"}, "names 5, but the class columns are 0 to 4"),
    ],
)
def test_names_cover_the_columns(folder: Path, tmp_path: Path, names: dict[str, str], expected: Any) -> None:
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": names}))
    if isinstance(expected, str):
        assert expected in complaint(lambda: mtvit_core.load(tmp_path))
    else:
        assert [c.name for c in mtvit_core.load(tmp_path).categories] == expected
