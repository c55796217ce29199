"""Supernets by name: what their options choose, and what is refused."""

from typing import Any

import pytest
import torch

from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from support.models.elastic_cases import CANVAS, NAME, OPTIONS, supernet

TINY = {"embed_dim": 48, "depth": 4, "num_heads": 3}


def complaint(name: str, options: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        create_backbone(name, CANVAS, options=options)
    return str(caught.value)


def test_choices_that_nobody_names_begin_at_two_thirds() -> None:
    space = elastic(create_backbone(NAME, CANVAS, options=TINY), "test").space
    assert space.widths == (32, 40, 48)
    assert space.heads == (2, 3)
    assert space.ratios == (3.0, 3.5, 4.0)
    assert space.depths == (4,)


def test_the_largest_is_the_plain_backbone_to_the_bit() -> None:
    inner = {
        key: value for key, value in OPTIONS.items() if key not in ("widths", "heads", "ratios", "depths")
    }
    torch.manual_seed(0)
    plain = create_backbone("vit_tiny_patch16_224", CANVAS, options=inner)
    torch.manual_seed(0)
    largest = elastic(create_backbone(NAME, CANVAS, options=OPTIONS), "test").largest
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, largest.state_dict()[name]), name


def test_a_supernet_may_be_smaller_than_the_backbone_of_its_name() -> None:
    found = supernet(widths=[32, 40], heads=[2])
    assert found.largest.spec.width == found.spec.width == 40
    assert found.largest.options["block_heads"] == [2] * 4


def test_a_supernet_larger_than_the_backbone_of_its_name_is_refused() -> None:
    assert complaint(NAME, {**TINY, "widths": [48, 64]}) == (
        "backbone 'vit_tiny_patch16_224': width is 64, but the model by this name has 48; give that at most."
    )


def test_a_family_that_cannot_be_cut_is_refused() -> None:
    assert complaint("elastic:crossvit:9_240", {}) == (
        "backbone 'elastic:crossvit:9_240': the family 'crossvit' does not say how its backbones are cut to "
        "a smaller shape; take a plain ViT of timm, as 'elastic:vit_small_patch16_224'."
    )


def test_odd_choices_are_refused_by_name() -> None:
    assert "options.widths.0 is 48.5: " in complaint(NAME, {**TINY, "widths": [48.5]})
    assert "timm refuses" in complaint(NAME, {**TINY, "wydths": [48]})
    assert complaint("elastic:vit_tinny", TINY).startswith("backbone: timm knows no model 'vit_tinny'.")
