"""Nearest neighbours and linear probes of backbones, on images whose classes are their colours."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mtvit_core.cli.main import main as mtvit
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.checkpoint import save
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.probing.image_classes import ImageFeatures, probe_classes

COLOURS = {"blue": (20, 40, 230), "green": (30, 220, 60), "red": (230, 30, 20)}
BACKBONE = ["model.image_size=[32,32]", "model.options={depth=1,embed_dim=16,num_heads=2,patch_size=16}"]


def coloured(folder: Path, images: int, seed: int) -> list[tuple[str, str]]:
    """Noisy images of each colour; their names and classes."""
    rng, found = np.random.default_rng(seed), []
    for name, colour in COLOURS.items():
        for number in range(images):
            pixels = np.array(colour) + rng.normal(0, 12, (32, 32, 3))
            path = f"{name}-{number}.png"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / path)
            found.append((path, name))
    return found


def as_folders(root: Path) -> list[str]:
    for split, images in (("train", 8), ("val", 4)):
        for path, name in coloured(root / split, images, len(split)):
            (root / split / name).mkdir(exist_ok=True)
            (root / split / path).rename(root / split / name / path)
    return ["reader=class_folders"]


def as_csv(root: Path) -> list[str]:
    for split, images in (("train", 8), ("val", 4)):
        rows = coloured(root / split, images, len(split))
        with (root / f"{split}.csv").open("w", newline="") as file:
            named = [(f"{split}/{path}", name) for path, name in rows]
            csv.writer(file).writerows([("image", "label"), *named])
    return ["reader=csv_labels"]


def as_coco(root: Path) -> list[str]:
    categories = [{"id": i, "name": name} for i, name in enumerate(COLOURS, start=1)]
    ids = {entry["name"]: entry["id"] for entry in categories}
    (root / "annotations").mkdir(parents=True)
    for split, images in (("train", 8), ("val", 4)):
        rows = coloured(root / f"{split}2017", images, len(split))
        listed = [
            {"id": i, "file_name": path, "height": 32, "width": 32} for i, (path, _) in enumerate(rows, 1)
        ]
        shown = [{"id": i, "image_id": i, "category_id": ids[name]} for i, (_, name) in enumerate(rows, 1)]
        told = {"images": listed, "annotations": shown, "categories": categories}
        (root / "annotations" / f"labels_{split}2017.json").write_text(json.dumps(told))
    return []


def run(*arguments: str) -> str:
    result = CliRunner().invoke(mtvit, ["evaluate", *arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result.output


def settings(*assignments: str) -> list[str]:
    return [part for one in assignments for part in ("--set", one)]


@pytest.mark.parametrize("write", [as_folders, as_csv, as_coco])
def test_colours_are_told_apart_in_every_form_of_data(
    write: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    """Even random weights keep colours apart, so all twelve images must be right."""
    own = write(tmp_path / "data")
    line = settings(*own, *BACKBONE, "model.pretrained=false")
    out = tmp_path / "scores.json"
    torch.manual_seed(0)
    run("vit_tiny_patch16_224", "--data", str(tmp_path / "data"), "--knn", "--linear", "--neighbours", "3",
        "--out", str(out), *line)  # fmt: skip
    told = {"knn/top1": 1.0, "knn/mAP": 1.0, "linear/top1": 1.0, "linear/mAP": 1.0}
    assert json.loads(out.read_text()) == pytest.approx(told)


def test_a_model_file_is_scored_by_its_backbone(tmp_path: Path) -> None:
    own = as_folders(tmp_path / "data")
    torch.manual_seed(0)
    options = {"depth": 1, "embed_dim": 16, "num_heads": 2, "patch_size": 16}
    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options=options)
    classes = Categories((Category(1, "a"), Category(2, "b")), (Category(1, "a"), Category(2, "b")))
    save(build(backbone, {"cls": {}}, classes), tmp_path / "model.safetensors")
    model, data = str(tmp_path / "model.safetensors"), str(tmp_path / "data")
    said = run(model, "--data", data, "--knn", *settings(*own))
    assert "knn: top1 1.000" in " ".join(said.split())
    assert "linear" not in said


def test_scores_are_those_of_a_hand_calculation() -> None:
    """Most neighbours of both images show the first class, which is right for one of them."""
    train = ImageFeatures(
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
        torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]]) > 0,
    )
    val = ImageFeatures(torch.tensor([[1.0, 0.1], [1.0, 0.1]]), torch.tensor([[1, 0], [0, 1]]) > 0)
    found = probe_classes(train, val, ["knn"], 3)
    # Both images score alike, so each class ranks them together: one hit in two.
    assert found == pytest.approx({"knn/top1": 0.5, "knn/mAP": 0.5})


def test_several_classes_an_image_have_no_top1() -> None:
    x, y = torch.eye(4), torch.tensor([[1, 1], [1, 0], [0, 1], [0, 0]]) > 0
    assert set(probe_classes(ImageFeatures(x, y), ImageFeatures(x, y), ["knn", "linear"], 1)) == {
        "knn/mAP",
        "linear/mAP",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--knn", "--tasks", "det"], "--tasks does not go with --knn"),
        (["--knn", "--split", "train"], "--split train does not go with --knn"),
        (["--weights", "w.safetensors"], "--weights belongs to a backbone"),
        (["--knn"], "label no whole image"),
    ],
)
def test_what_cannot_be_measured_is_told(arguments: list[str], told: str, tmp_path: Path) -> None:
    own = as_coco(tmp_path)
    for split in ("train", "val"):
        path = tmp_path / "annotations" / f"labels_{split}2017.json"
        boxes = {**json.loads(path.read_text()), "annotations": []}
        path.with_name(f"instances_{split}2017.json").write_text(json.dumps(boxes))
        path.unlink()
    line = settings(*own, *BACKBONE, "model.pretrained=false") if "--weights" not in arguments else []
    result = CliRunner().invoke(
        mtvit, ["evaluate", "vit_tiny_patch16_224", "--data", str(tmp_path), *arguments, *line]
    )
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
