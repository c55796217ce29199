"""Files in the layout of ViT-MVT's authors: the same map as a second writing of the network makes of them."""

from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.mvt.options import MODELS
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.backbone import create_backbone
from support.models import mvt_reference
from support.models.mvt_reference import released

WIDTH, HEADS, RATIOS = 40, [1, 2, 2], [3.0, 3.5, 4.0]
OPTIONS = {"width": WIDTH, "block_heads": HEADS, "block_ratios": RATIOS}
SLOW = pytest.mark.slow
WINDOWS = {"window": 3, "aggregate": [1]}


def written(weights: dict[str, torch.Tensor], folder: Path) -> Path:
    """A file as mmcv writes it."""
    path = folder / "released.pth"
    torch.save({"meta": {"epoch": 1, "CLASSES": ("a", "b")}, "state_dict": weights}, path)
    return path


def images(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 16 * rows, 16 * columns), dtype=torch.uint8)


def precise(backbone: Backbone) -> Backbone:
    return backbone.double().eval()


@pytest.mark.parametrize("se", ["attention", "input", "none"])
@pytest.mark.parametrize("window", [0, 3])
@torch.no_grad()
def test_the_map_is_that_of_the_reference(se: str, window: int, tmp_path: Path) -> None:
    weights = released(WIDTH, HEADS, RATIOS, side=5, window=window)
    if se == "none":
        weights = {key: value for key, value in weights.items() if ".se." not in key}
    single = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    options = {**OPTIONS, "se": se, **(WINDOWS if window else {})}
    ours = create_backbone("mvt:custom", (80, 80), written(single, tmp_path), options)
    again = {key: value.double() if value.is_floating_point() else value for key, value in single.items()}
    for canvas in (images(5, 5), images(4, 7)) if window else (images(5, 5),):
        normal = precise(ours).normalise(canvas)
        expected = mvt_reference.forward(again, normal, HEADS, eps=1e-6, se=se, window=window)
        torch.testing.assert_close(ours(canvas).last.patches, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "tier", ["tiny", pytest.param("small", marks=SLOW), pytest.param("base", marks=SLOW)]
)
@pytest.mark.parametrize("task", ["cls", "det"])
@torch.no_grad()
def test_each_tier_takes_its_file(tier: str, task: str, tmp_path: Path) -> None:
    own, window = MODELS[tier], 14 if task == "det" else 0
    heads, ratios = list(own.block_heads), list(own.block_ratios)
    weights = released(own.width, heads, ratios, side=4, window=window, task=task)
    single = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    odd = [i for i in range(len(heads)) if i % 2]
    options = {"window": 14, "aggregate": odd} if window else {}
    ours = precise(create_backbone(f"mvt:{tier}", (64, 64), written(single, tmp_path), options))
    again = {key: value.double() if value.is_floating_point() else value for key, value in single.items()}
    canvas = images(4, 4)[:1]
    expected = mvt_reference.forward(again, ours.normalise(canvas), heads, eps=1e-5, window=window)
    found = ours(canvas).last.patches
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize("task", ["cls", "det", "seg"])
def test_heads_are_left_out_and_strangers_are_not(task: str, tmp_path: Path) -> None:
    weights = released(WIDTH, HEADS, RATIOS, side=5, task=task)
    create_backbone("mvt:custom", (80, 80), written(weights, tmp_path), OPTIONS)
    weights["model.bbox_head.weight"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"do not fit the model: unexpected: model\.bbox_head\.weight"):
        create_backbone("mvt:custom", (80, 80), written(weights, tmp_path), OPTIONS)


@torch.no_grad()
def test_tables_are_resized_to_the_canvas(tmp_path: Path) -> None:
    path = written(released(WIDTH, HEADS, RATIOS, side=5), tmp_path)
    wide = create_backbone("mvt:custom", (64, 112), path, OPTIONS)
    square = create_backbone("mvt:custom", (80, 80), path, OPTIONS)
    assert wide.positions.shape == (1, 28, WIDTH)
    assert wide.layers[1].attention.table.shape == (7 * 13, 2)
    canvas = images(4, 7)
    torch.testing.assert_close(wide.eval()(canvas).last.patches, square.eval()(canvas).last.patches)


def test_blocks_that_aggregate_are_drawn_where_a_file_has_none(tmp_path: Path) -> None:
    plain = written(released(WIDTH, HEADS, RATIOS, side=3), tmp_path)
    torch.manual_seed(0)
    drawn = create_backbone("mvt:custom", (80, 80), options={**OPTIONS, **WINDOWS})
    torch.manual_seed(0)
    filled = create_backbone("mvt:custom", (80, 80), plain, {**OPTIONS, **WINDOWS})
    key = "layers.1.aggregate.conv1.weight"
    assert torch.equal(filled.state_dict()[key], drawn.state_dict()[key])
    with_them = written(released(WIDTH, HEADS, RATIOS, side=5, window=3), tmp_path)
    with pytest.raises(CheckpointError, match=r"unexpected: layers\.1\.aggregate\.conv1\.weight"):
        create_backbone("mvt:custom", (80, 80), with_them, OPTIONS)


def test_other_shapes_and_no_files_are_refused(tmp_path: Path) -> None:
    path = written(released(WIDTH, HEADS, RATIOS, side=5), tmp_path)
    with pytest.raises(CheckpointError, match=r"layers\.0\.fc1\.\w+ is .* instead of"):
        create_backbone("mvt:custom", (80, 80), path, {**OPTIONS, "block_ratios": [4.0, 3.5, 4.0]})
    with pytest.raises(ConfigError, match=r"there is no such file; check model\.pretrained"):
        create_backbone("mvt:custom", (80, 80), tmp_path / "none.pth", OPTIONS)
    with pytest.raises(ConfigError, match="no address gives its weights to a program"):
        create_backbone("mvt:tiny", (224, 224), pretrained=True)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        create_backbone("mvt:custom", (80, 80), path, OPTIONS)


@pytest.mark.parametrize(
    ("task", "heads"),
    [("cls", "a classifier"), ("det", "a neck and Mask R-CNN"), ("seg", "a neck and UPerNet")],
)
def test_a_whole_model_of_theirs_is_refused(task: str, heads: str, tmp_path: Path) -> None:
    path = written(released(WIDTH, HEADS, RATIOS, side=5, task=task), tmp_path)
    with pytest.raises(CheckpointError) as error:
        mtvit_core.convert(path)
    assert str(error.value) == (
        f"source {path}: this is a network of ViT-MVT with {heads}, and no task of mtvit has such a head; "
        "train one on its backbone: set model.backbone to mvt:tiny, mvt:small or mvt:base, and "
        "model.pretrained to this file."
    )
