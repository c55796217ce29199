"""EoMT checkpoints of its authors: whole weights, and differences to base weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import mtvit_core
from mtvit_core.errors import ConfigError
from support.tasks.eomt_cases import SIDE, compare, dinov3_delta, eomt, official
from support.tasks.published_cases import complaint


@pytest.mark.parametrize("kind", ["eomt", "eomt with SwiGLU"])
def test_the_official_file(tmp_path: Path, kind: str) -> None:
    theirs = eomt(kind, num_attention_heads=1)  # their heads are 64 wide
    path = tmp_path / "pytorch_model.bin"
    torch.save(official(theirs), path)
    assert compare(theirs, mtvit_core.load(path)) < 1e-4
    assert compare(theirs, mtvit_core.load(tmp_path)) < 1e-4  # the folder that the hub holds
    torch.save({"state_dict": official(theirs, "network._orig_mod.")}, tmp_path / "last.ckpt")
    assert compare(theirs, mtvit_core.load(tmp_path / "last.ckpt")) < 1e-4


def test_official_files_that_cannot_be_followed(tmp_path: Path) -> None:
    weights = official(eomt(num_attention_heads=1))
    path = tmp_path / "pytorch_model.bin"
    key = "network.encoder.pixel_mean"
    torch.save(weights | {key: torch.full((1, 3, 1, 1), 0.5)}, path)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: its {key} is [0.5, 0.5, 0.5]; only ImageNet's, [0.485, 0.456, 0.406], is known here."
    )
    table = "network.encoder.backbone.pos_embed"
    torch.save(weights | {table: weights[table][:, 1:]}, path)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: its table of 15 positions is of no square image; only those are published."
    )


@pytest.mark.parametrize("stem", ["", "model."])
def test_differences_to_base_weights(tmp_path: Path, stem: str) -> None:
    theirs = eomt("eomt_dinov3", num_attention_heads=1, layer_norm_eps=1e-5)
    delta, base = dinov3_delta(theirs)
    path, folder = tmp_path / "pytorch_model.bin", tmp_path / "dinov3"
    torch.save(delta, path)
    folder.mkdir()
    base = {stem + key if key.startswith("layer.") else key: value for key, value in base.items()}
    save_file(base, folder / "model.safetensors")
    assert complaint(lambda: mtvit_core.load(path), ConfigError) == (
        f"source {path}: it holds differences to the weights of DINOv3; give these with base (--base), as a "
        "folder or a hub id of transformers' DINOv3."
    )
    ours = mtvit_core.convert(path, base=folder, image_size=(SIDE, SIDE))
    assert compare(theirs, ours) < 1e-4
    assert ours.backbone.spec.canvas == (SIDE, SIDE)
    torch.save({f"module.{name}": value for name, value in delta.items()}, tmp_path / "wrapped.bin")
    assert compare(theirs, mtvit_core.convert(tmp_path / "wrapped.bin", base=folder)) < 1e-4
    key = f"{stem}layer.2.mlp.up_proj.bias"
    del base[key]
    save_file(base, folder / "model.safetensors")
    assert complaint(lambda: mtvit_core.convert(path, base=folder)) == (
        f"source {path}: its weights are not those of EoMT on DINOv3 (official file): missing: base:{key}."
    )


def whole(delta: dict[str, Tensor], base: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file as the authors' training writes it, before they take the differences."""
    weights = dict(delta)
    for key, value in delta.items():
        name = key.removeprefix("network.encoder.backbone.")
        if name != key and not key.endswith(("pixel_mean", "pixel_std")):
            theirs = name.replace("blocks.", "layer.").replace("patch_embed.", "embeddings.", 1)
            weights[key] = value + base[theirs]
    for name, values in {"pixel_mean": (0.485, 0.456, 0.406), "pixel_std": (0.229, 0.224, 0.225)}.items():
        weights[f"network.encoder.{name}"] = torch.tensor(values).view(1, 3, 1, 1)
    return weights


def test_whole_weights_and_differences_are_told_apart(tmp_path: Path) -> None:
    """By what the authors' loader leaves of mean and deviation: zeros are differences."""
    theirs = eomt("eomt_dinov3", num_attention_heads=1, layer_norm_eps=1e-5)
    delta, base = dinov3_delta(theirs)
    path, folder = tmp_path / "last.ckpt", tmp_path / "dinov3"
    folder.mkdir()
    save_file(base, folder / "model.safetensors")
    weights = whole(delta, base)
    torch.save({"state_dict": weights}, path)
    assert compare(theirs, mtvit_core.load(path)) < 1e-4
    assert complaint(lambda: mtvit_core.convert(path, base=folder), ConfigError) == (
        f"source {path}: it holds whole weights, not differences to others; leave base out."
    )
    for odd in ({"pixel_mean": None, "pixel_std": None}, {"pixel_std": torch.zeros(1, 3, 1, 1)}):
        torch.save({"state_dict": without(weights, odd)}, path)
        for base_folder in (None, folder):
            text = complaint(lambda given=base_folder: mtvit_core.convert(path, base=given))
            assert "zeros tell that its weights are differences to those of DINOv3, ImageNet's that" in text


def without(weights: dict[str, Tensor], changes: dict[str, Tensor | None]) -> dict[str, Tensor]:
    """Weights with others of pixels, or none."""
    named = {f"network.encoder.{name}": value for name, value in changes.items()}
    return {key: value for key, value in (weights | named).items() if value is not None}
