"""Files of the authors of YOLOS: grids and sizes by their arguments, their rounding, tables of two grids."""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import YolosForObjectDetection

import mtvit_core
from mtvit_core.structures.framing import ShortSide
from support.tasks.published_cases import complaint
from support.tasks.yolos_cases import official, yolos


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
