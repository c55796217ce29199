"""Models on disk: the same bits come back, in part if asked for, and what is wrong with a file is said."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.errors import CheckpointError, ConfigError, PluginError
from mtvit_core.model import build as model_build
from mtvit_core.model import writing
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.checkpoint import load, read_header, save
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON
from support.models.spot_task import Spot, spot_class

CATEGORIES = Categories((Category(7, "cup"), Category(3, "person", COCO_PERSON)))
CLASSES: dict[str, type[Spot]] = {name: spot_class(name) for name in ("det", "seg", "pose")}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three tasks be installed."""

    def choose(names: Sequence[str]) -> dict[str, type[Spot]]:
        missing = [name for name in names if name not in CLASSES]
        if missing:
            raise PluginError(f"tasks: {missing[0]!r} is not installed.")
        return {name: CLASSES[name] for name in names}

    monkeypatch.setattr(model_build, "installed", choose)


def backbone() -> PlainBackbone:
    """Return a small backbone."""
    return create_backbone("vit_tiny_patch16_224", (32, 64), options={"depth": 2, "init_values": 0.1})


def make(**tasks: Any) -> MultiTaskViT:
    """Return a small model whose every weight is random."""
    model = build(backbone(), tasks, CATEGORIES, person_canvas=(64, 32))
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return model


@pytest.fixture
def saved(tmp_path: Path) -> tuple[MultiTaskViT, Path]:
    """Return a model of three tasks and its file."""
    model = make(det={"queries": 5}, seg={"enter": 1, "visibility": "joint"}, pose={"view": "person"})
    save(model, tmp_path / "model.safetensors", extra={"step": 12})
    return model.eval(), tmp_path / "model.safetensors"


def images() -> Tensor:
    """Return pixels of the canvas."""
    return torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)


def test_the_same_bits_come_back(saved: tuple[MultiTaskViT, Path]) -> None:
    model, path = saved
    again = load(path)
    assert not again.training
    assert again.categories == CATEGORIES
    assert again.canvases == {"image": (32, 64), "person": (64, 32)}
    assert [task.name for task in again.task_list] == ["det", "seg", "pose"]
    assert [task.config for task in again.task_list] == [task.config for task in model.task_list]
    assert again.backbone.options == {"depth": 2, "init_values": 0.1}
    weights = model.state_dict()
    for key, value in again.state_dict().items():
        assert torch.equal(value, weights[key]), key
    pixels = images()
    for view, names in (("image", ("det", "seg")), ("person", ("pose",))):
        ours, theirs = model(pixels, view), again(pixels, view)
        for name in names:
            assert torch.equal(ours[name].boxes, theirs[name].boxes)
            assert torch.equal(ours[name].logits, theirs[name].logits)


def test_a_saved_model_is_saved_the_same(saved: tuple[MultiTaskViT, Path], tmp_path: Path) -> None:
    _, path = saved
    save(load(path), tmp_path / "again.safetensors", extra={"step": 12})
    again = tmp_path / "again.safetensors"
    assert read_header(path) == read_header(again)
    assert set(load_file(path)) == set(load_file(again))


def test_the_header_tells_what_a_model_is(saved: tuple[MultiTaskViT, Path]) -> None:
    header = read_header(saved[1])
    assert header["format"] == "mtvit-1"
    assert header["extra"] == {"step": 12}
    assert header["tasks"]["det"]["queries"] == 5
    assert header["backbone"] == {
        "name": "vit_tiny_patch16_224",
        "options": {"depth": 2, "init_values": 0.1},
    }
    assert Categories.from_json(header["categories"]) == CATEGORIES


@pytest.mark.parametrize("names", [("det",), ("pose",), ("seg", "det"), ()])
def test_some_of_the_tasks(saved: tuple[MultiTaskViT, Path], names: tuple[str, ...]) -> None:
    model, path = saved
    part = load(path, names)
    assert {task.name for task in part.task_list} == set(names)
    weights = model.state_dict()
    for key, value in part.state_dict().items():
        assert torch.equal(value, weights[key]), key
    if names == ("det",):  # seg is joint: what it leaves out changes det
        alone = make(det={"queries": 5}).eval()
        alone.load_state_dict(part.state_dict())
        pixels = images()
        assert torch.equal(part(pixels)["det"].boxes, alone(pixels)["det"].boxes)


def test_a_task_that_the_file_lacks(saved: tuple[MultiTaskViT, Path]) -> None:
    _, path = saved
    with pytest.raises(CheckpointError) as error:
        load(path, ["det", "depth"])
    assert str(error.value) == f"checkpoint {path}: it has no task 'depth'; it holds det, seg, pose."
    save(make(), path)
    with pytest.raises(CheckpointError) as error:
        load(path, ["det"])
    assert str(error.value) == f"checkpoint {path}: it has no task 'det'; it holds none."


def test_a_task_that_is_not_installed(
    saved: tuple[MultiTaskViT, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = saved
    monkeypatch.delitem(CLASSES, "seg")
    with pytest.raises(PluginError) as error:
        load(path)
    assert str(error.value) == f"checkpoint {path}: tasks: 'seg' is not installed."
    assert [task.name for task in load(path, ["det"]).task_list] == ["det"]


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None]) -> None:
    """Change the weights and the header of a file."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["mtvit"])
    weights = load_file(path)
    change(weights, header)
    save_file(weights, path, metadata={"mtvit": json.dumps(header)})


def complaint(path: Path) -> str:
    """Return the message that loading a file causes, without its name."""
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert str(error.value).startswith(f"checkpoint {path}: ")
    return str(error.value).removeprefix(f"checkpoint {path}: ")


def test_missing_weights(saved: tuple[MultiTaskViT, Path]) -> None:
    def change(weights: dict[str, Tensor], header: dict[str, Any]) -> None:
        for key in [key for key in weights if "blocks.1.attn" in key]:
            del weights[key]

    rewrite(saved[1], change)
    assert complaint(saved[1]) == (
        "its weights do not fit the model: missing: backbone.vit.blocks.1.attn.proj.bias, "
        "backbone.vit.blocks.1.attn.proj.weight, backbone.vit.blocks.1.attn.qkv.bias and 1 more."
    )


def test_unexpected_weights(saved: tuple[MultiTaskViT, Path]) -> None:
    rewrite(saved[1], lambda weights, header: weights.update({"tasks.depth.x": torch.zeros(1)}))
    assert complaint(saved[1]) == "its weights do not fit the model: unexpected: tasks.depth.x."


def test_weights_of_another_shape(saved: tuple[MultiTaskViT, Path]) -> None:
    rewrite(saved[1], lambda weights, header: header["tasks"]["det"].update(queries=6))
    assert complaint(saved[1]) == (
        "its weights do not fit the model: of another shape: tasks.det.tokens.det.weight is (5, 192) instead "
        "of (6, 192)."
    )


def test_every_kind_of_misfit_is_named(saved: tuple[MultiTaskViT, Path]) -> None:
    def change(weights: dict[str, Tensor], header: dict[str, Any]) -> None:
        weights["norm.bias"] = weights.pop("backbone.vit.norm.bias")
        header["tasks"]["det"]["queries"] = 6

    rewrite(saved[1], change)
    assert complaint(saved[1]) == (
        "its weights do not fit the model: missing: backbone.vit.norm.bias; unexpected: norm.bias; "
        "of another shape: tasks.det.tokens.det.weight is (5, 192) instead of (6, 192)."
    )


def test_a_header_that_asks_for_millions_of_blocks(saved: tuple[MultiTaskViT, Path]) -> None:
    rewrite(saved[1], lambda weights, header: header["backbone"]["options"].update(depth=10**6))
    with pytest.raises(
        CheckpointError, match="its header asks for a backbone of depth = 1000000, but there are"
    ):
        load(saved[1])


def test_settings_of_another_version(saved: tuple[MultiTaskViT, Path]) -> None:
    _, path = saved
    rewrite(path, lambda weights, header: header["tasks"]["det"].update(querys=6))
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value).startswith(
        f"checkpoint {path}: config: tasks.det.querys is not a setting. Did you mean 'queries'? Settings of"
    )
    rewrite(path, lambda weights, header: header["backbone"].update(name="vit_of_old"))
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value).startswith(f"checkpoint {path}: backbone: timm knows no model 'vit_of_old'.")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "no.safetensors"
    assert complaint(path) == "no such file; give the path of a model.safetensors."


def test_a_torn_file(saved: tuple[MultiTaskViT, Path]) -> None:
    _, path = saved
    content = path.read_bytes()
    for length in (5, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        text = complaint(path)
        assert text.startswith("not a readable safetensors file (")
        assert "\n" not in text


@pytest.mark.parametrize("header", [{"mtvit": "{"}, {"mtvit": "[1]"}])
def test_a_foreign_header(tmp_path: Path, header: dict[str, str]) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata=header)
    assert complaint(path) == (
        "its format is None, this version reads 'mtvit-1'; it was not written by mtvit, or by another "
        "version."
    )


def test_a_file_of_another_format(saved: tuple[MultiTaskViT, Path]) -> None:
    rewrite(saved[1], lambda weights, header: header.update(format="mtvit-2"))
    assert complaint(saved[1]) == (
        "its format is 'mtvit-2', this version reads 'mtvit-1'; it was not written by mtvit, or by another "
        "version."
    )


def test_an_incomplete_header(saved: tuple[MultiTaskViT, Path]) -> None:
    rewrite(saved[1], lambda weights, header: header.pop("categories"))
    assert complaint(saved[1]) == "its header lacks 'categories'; write it again."


def test_a_failed_write_leaves_the_old_file(
    saved: tuple[MultiTaskViT, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = saved
    before = path.read_bytes()

    def fail(weights: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
        target.write_bytes(b"half a fi")
        raise OSError("no space left on device")

    monkeypatch.setattr(writing, "save_file", fail)
    with pytest.raises(CheckpointError, match=r"it cannot be written .no space left"):
        save(model, path)
    assert path.read_bytes() == before


def test_saving_where_there_is_no_folder(saved: tuple[MultiTaskViT, Path], tmp_path: Path) -> None:
    path = tmp_path / "none" / "model.safetensors"
    with pytest.raises(CheckpointError) as error:
        save(saved[0], path)
    assert str(error.value) == f"checkpoint {path}: no such folder {path.parent}; create it first."


def test_build_takes_names_or_settings() -> None:
    model = build(backbone(), ["det", "seg"])
    assert [task.config.queries for task in model.task_list] == [4, 4]
    model = build("vit_tiny_patch16_224", {"seg": {}, "det": {"queries": 2}}, canvas=(32, 48))
    assert [(task.name, task.config.queries) for task in model.task_list] == [("seg", 4), ("det", 2)]
    assert model.backbone.spec.canvas == (32, 48)
    assert len(model.categories) == 80


def test_build_refuses_wrong_settings() -> None:
    with pytest.raises(ConfigError) as error:
        build(backbone(), {"det": {"queries": "many"}})
    assert str(error.value) == (
        "config: tasks.det.queries is 'many': input should be a valid integer, unable to parse string as an "
        "integer."
    )


def test_a_task_named_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real registry
    with pytest.raises(PluginError) as error:
        build(backbone(), ["det", "det"])
    assert str(error.value) == "tasks: 'det' is named twice; name each task once."
