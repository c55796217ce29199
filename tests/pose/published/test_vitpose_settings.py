"""Every setting of a ViTPose folder that changes pixels or geometry is followed, or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PretrainedConfig, VitPoseBackboneConfig, VitPoseConfig
from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil
from transformers.models.vitpose.image_processing_vitpose import VitPoseImageProcessor

import mtvit_core
from mtvit_pose.published.vitpose_settings import BACKBONE_CONFIG, CONFIG, PROCESSOR
from support.tasks.published_cases import complaint
from support.tasks.published_pose_cases import relative, saved, vitpose


def test_every_setting_of_transformers_has_a_rule() -> None:
    """A setting that a new version brings is noticed here."""
    base = PretrainedConfig().to_dict().keys()
    assert VitPoseConfig().to_dict().keys() - base <= CONFIG.known
    assert VitPoseBackboneConfig().to_dict().keys() - base <= BACKBONE_CONFIG.known
    for kind in (VitPoseImageProcessor, VitPoseImageProcessorPil):
        assert set(kind.valid_kwargs.__annotations__) <= PROCESSOR.known
        PROCESSOR.check(json.loads(kind().to_json_string()), "what transformers writes")


@pytest.mark.parametrize(
    "settings",
    [
        {"image_mean": [0.5] * 3, "image_std": [0.25] * 3},
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_rescale": True, "rescale_factor": 1 / 127.5},
        {"do_resize": False, "resample": 0},
    ],
)
def test_pixels_are_those_of_transformers(tmp_path: Path, settings: dict[str, Any]) -> None:
    theirs = vitpose((48, 1, 4), simple=True)
    processor = VitPoseImageProcessor(**settings)
    processor.save_pretrained(saved(theirs, tmp_path))
    ours = mtvit_core.load(tmp_path)
    crops = torch.randint(0, 256, (2, 3, 256, 192), dtype=torch.uint8)
    pixels = processor(
        [*crops], boxes=[[[24.0, 32, 1, 1]]] * 2, do_affine_transform=False, return_tensors="pt"
    )
    with torch.no_grad():
        expected = theirs(pixels["pixel_values"].float()).heatmaps
        found = ours(crops, "person")["pose"].maps
    assert relative(found, expected) < 1e-4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"size": {"height": 384, "width": 288}},
            "size {'height': 384, 'width': 288}, but the model takes crops",
        ),
        ({"do_affine_transform": False}, "do_affine_transform False; only True is known"),
        ({"normalize_factor": 100}, "normalize_factor 100; only 200.0 is known"),
        ({"do_sharpen": True}, "do_sharpen True, a step that is not known"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    saved(vitpose((48, 1, 4), simple=True), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert f"its preprocessor_config.json has {words}" in complaint(lambda: mtvit_core.load(tmp_path))


def test_heads_that_scale_otherwise_are_refused(tmp_path: Path) -> None:
    saved(vitpose((48, 1, 4), simple=True), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"scale_factor": 2}))
    assert complaint(lambda: mtvit_core.load(tmp_path)) == (
        f"source {tmp_path}: its config.json has scale_factor 2; only 4 is known here."
    )
