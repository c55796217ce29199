"""timm's two-branch models are the oracle: the same weights give the same features and logits."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mtvit_core.backbones.crossvit.backbone import CrossBackbone
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.testing.case import stir


def oracle(name: str, **arguments: object) -> torch.nn.Module:
    """A model of timm's, whose weights are all random."""
    torch.manual_seed(1)
    return stir(timm.create_model(name, num_classes=7, **arguments)).eval()


def written(model: torch.nn.Module, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file(model.state_dict(), path)
    return path


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


def images(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("tiny_240", 240),
        ("9_dagger_240", 240),
        *(pytest.param(name, 240, marks=pytest.mark.slow) for name in ("small_240", "9_240", "18_240")),
        *(pytest.param(f"{n}_dagger_408", 408, marks=pytest.mark.slow) for n in (15, 18)),
    ],
)
@torch.no_grad()
def test_features_and_logits_are_timms_at_native_size(name: str, side: int, tmp_path: Path) -> None:
    theirs = oracle(f"crossvit_{name}")
    ours = create_backbone(f"crossvit:{name}", (side, side), written(theirs, tmp_path), {"read": "small"})
    canvas = images(side)
    small, large = theirs.forward_features(ours.eval().normalise(canvas))
    found = ours(canvas)
    tokens = torch.cat([found.last.prefix, found.last.patches.flatten(2).transpose(1, 2)], 1)
    assert gap(tokens, small) < 1e-5
    assert gap(found.class_tokens[1], large[:, 0]) < 1e-5
    heads = zip(theirs.head, found.class_tokens, strict=True)
    logits = torch.stack([head(token) for head, token in heads]).mean(0)
    assert gap(logits, theirs(ours.normalise(canvas))) < 1e-5


@torch.no_grad()
def test_the_branch_of_large_patches_is_timms_too(tmp_path: Path) -> None:
    theirs = oracle("crossvit_9_240", img_size=96, img_scale=(1.0, 1.0))
    options = {"scale": 1.0}
    ours = create_backbone("crossvit:9_240", (96, 96), written(theirs, tmp_path), options).eval()
    canvas = images(96)
    _, large = theirs.forward_features(ours.normalise(canvas))
    found = ours(canvas)
    assert ours.spec.patch == (16, 16)
    assert ours.spec.depth == 9
    assert gap(found.last.patches.flatten(2).transpose(1, 2), large[:, 1:]) < 1e-5


def test_at_another_canvas_positions_are_resized(tmp_path: Path) -> None:
    theirs = oracle("crossvit_9_240")
    ours = create_backbone("crossvit:9_240", (96, 160), written(theirs, tmp_path))
    assert isinstance(ours, CrossBackbone)
    assert [embedding.grid for embedding in ours.embeddings] == [(6, 10), (9, 14)]
    assert [embedding.positions.shape[1] for embedding in ours.embeddings] == [61, 127]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit the model"):
        create_backbone("crossvit:tiny_240", (96, 96), written(oracle("crossvit_9_240"), tmp_path))


def test_an_unknown_model_and_odd_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no such model.* Did you mean '15_240'\?"):
        create_backbone("crossvit:15_24", (96, 96))
    for options, message in (
        ({"patches": [16, 8]}, "the smaller one first"),
        ({"widths": [50, 96]}, "a width of 50 is no multiple of its 3 heads"),
        ({"patches": [14, 16], "stem": "convs"}, "stem 'convs' makes patches of 4, 8, 12, 16, not of 14"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_backbone("crossvit:custom", (112, 112), options=options)
    with pytest.raises(ConfigError, match="nobody publishes weights"):
        create_backbone("crossvit:custom", (96, 96), pretrained=True)
