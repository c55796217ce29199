"""Models as people hand them over: what wraps them comes off, and what is no model is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mtvit_core.errors import CheckpointError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.checkpoint import load, read_header, save
from mtvit_core.model.convert import convert
from mtvit_core.model.model_file import unwrapped
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories, Category


def make() -> MultiTaskViT:
    """Return a model without tasks."""
    backbone = create_backbone("vit_tiny_patch16_224", (32, 64), options={"depth": 1})
    return MultiTaskViT(backbone, [], Categories((Category(7, "cup"),)))


def compiled(model: nn.Module) -> nn.Module:
    """Wrap a model as ``torch.compile`` does."""
    wrapped: Any = torch.compile(model, backend="eager")
    return wrapped


WRAPPERS = {
    "compiled": compiled,
    "parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "compiled and parallel": lambda model: nn.DataParallel(compiled(model)),
    "averaged and compiled": lambda model: compiled(torch.optim.swa_utils.AveragedModel(model)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_model_is_saved_as_the_model_inside(tmp_path: Path, name: str) -> None:
    model = make()
    save(WRAPPERS[name](model), tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors").state_dict()
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())


def test_a_compiled_part_is_saved_as_the_part(tmp_path: Path) -> None:
    model = make()
    wanted = set(model.state_dict())
    model.backbone.vit.norm = compiled(model.backbone.vit.norm)
    save(model, tmp_path / "model.safetensors")
    assert set(load_file(tmp_path / "model.safetensors")) == wanted
    load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("given", [{}, nn.Linear(2, 2), nn.DataParallel(nn.Linear(2, 2)), "model", None])
def test_what_is_no_model_is_refused(given: object) -> None:
    with pytest.raises(CheckpointError) as error:
        unwrapped(given)
    assert str(error.value).startswith(
        f"checkpoint: a {type(given).__name__} cannot be saved; give a model of mtvit, for "
    )


def test_places_that_could_not_be_read_again_are_refused(tmp_path: Path) -> None:
    for name in ("model.pt", "model", "model.safetensor"):
        with pytest.raises(CheckpointError, match=r"its ending is .*; give one that ends in \.safetensors"):
            save(make(), tmp_path / name)
    with pytest.raises(CheckpointError, match="this is a folder; name a file in it"):
        save(make(), tmp_path)
    with pytest.raises(CheckpointError, match="extra is no plain data"):
        save(make(), tmp_path / "model.safetensors", extra={"model": make()})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtvit_core.model.writing.save_file", full)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: it cannot be written \(.*No space left"):
        save(make(), tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run_is_its_model(tmp_path: Path) -> None:
    save(make(), tmp_path / "model.safetensors", extra={"step": 3})
    (tmp_path / "config.json").write_text('{"train": {}}')
    assert load(tmp_path).state_dict().keys() == make().state_dict().keys()
    assert read_header(tmp_path)["extra"] == {"step": 3}


def test_our_own_models_are_no_published_ones(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(make(), path)
    with pytest.raises(CheckpointError) as error:
        convert(path)
    assert str(error.value) == (
        f"source {path}: this is a model of mtvit already; load it with mtvit_core.load, there is nothing to "
        "convert."
    )
    for prefix in ("", "module.", "_orig_mod."):
        weights = {prefix + key: value for key, value in make().state_dict().items()}
        torch.save(weights, tmp_path / "weights.pth")
        with pytest.raises(CheckpointError) as error:
            load(tmp_path / "weights.pth")
        assert str(error.value) == (
            f"source {tmp_path / 'weights.pth'}: these are weights of a model of mtvit, without what says "
            "how to build it; write the model with mtvit_core.save(model, ...), and load that file."
        )


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("a.safetensors", b"<!DOCTYPE html><html></html>", "a web page"),
        ("a.safetensors", b"", "an empty file"),
        ("a.jpg", b"\xff\xd8\xff\xe0 and so on", "a picture"),
        ("a.onnx", b"\x08\x0a\x12\x07pytorch", "an ONNX program"),
        ("a.toml", b"[train]\nsteps = 3\n", "a file of settings"),
        ("a.pt2", b"PK\x03\x04 and so on", "an exported program"),
    ],
)
def test_what_is_something_else_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / name)
    assert str(error.value).startswith(f"checkpoint {tmp_path / name}: this is {what}")
    assert str(error.value).endswith("; give a model's file.")
