"""Published checkpoints: what is refused as a source, in which words; nothing that runs is read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.published.source import open_source
from support.commands.toy_format import write
from support.tasks.published_cases import complaint

pytestmark = pytest.mark.usefixtures("toy")


def test_a_hub_id_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, allow_patterns: list[str]) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert complaint(lambda: mtvit_core.load("someone/toy")) == (
        "source someone/toy: neither a path here nor to be had from the hub (no network); "
        "check the name, or download it and give the folder."
    )


class Marker:
    """Leaves a trace where unpickling runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code(tmp_path: Path, weights: dict[str, Tensor], zipped: bool) -> None:
    path, trace = tmp_path / "toy.pth", tmp_path / "trace"
    content = {"model": weights, "more": Marker(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    text = complaint(lambda: mtvit_core.convert(path))
    assert not trace.exists()
    assert text.startswith(f"source {path}: its pickle ")
    assert text.endswith(
        " mtvit runs nothing that a file names; where you trust it, save its weights alone as safetensors."
    )
    if zipped:
        assert "pickle needs builtins.getattr, pathlib.Path" in text or "pickle needs pathlib" in text


def test_what_is_no_source(tmp_path: Path) -> None:
    missing = tmp_path / "a" / "b.pth"
    assert complaint(lambda: mtvit_core.convert(missing)) == (
        f"source {missing}: no such file or folder; a hub id has the form owner/name."
    )
    assert complaint(lambda: mtvit_core.convert(tmp_path)) == (
        f"source {tmp_path}: the folder holds neither model.safetensors, nor shards with "
        "model.safetensors.index.json, nor pytorch_model.bin."
    )
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert complaint(lambda: mtvit_core.convert(text)) == (
        f"source {text}: a file of weights ends in one of .safetensors, .bin, .ckpt, .pt, .pth."
    )


def test_torn_files(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder = write(tmp_path / "toy", weights)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert complaint(lambda: mtvit_core.convert(folder)).startswith(
        f"source {folder}: model.safetensors is damaged or not a safetensors file ("
    )
    pickled = tmp_path / "toy.pth"
    torch.save(weights, pickled)
    pickled.write_bytes(pickled.read_bytes()[: pickled.stat().st_size // 2])
    assert complaint(lambda: mtvit_core.convert(pickled)).startswith(
        f"source {pickled}: damaged, or not written by torch.save ("
    )
    write(folder, weights)
    (folder / "config.json").write_text("{")
    assert complaint(lambda: mtvit_core.convert(folder)).startswith(
        f"source {folder}: config.json is not JSON: "
    )
    (folder / "config.json").write_text("[]")
    assert complaint(lambda: mtvit_core.convert(folder)) == f"source {folder}: config.json holds no table."


def test_a_pickle_without_weights(tmp_path: Path) -> None:
    path = tmp_path / "toy.pth"
    for content, what in (
        ({"model": {"a": torch.zeros(1), "b": 3}}, "'b' among its weights is no tensor"),
        ([1, 2], "it holds no weights"),
        ({}, "it holds no weights"),
    ):
        torch.save(content, path)
        text = complaint(lambda: mtvit_core.convert(path))
        assert text == f"source {path}: {what}; give a file with a state dict."


def test_a_kind_that_no_plugin_knows(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder = write(tmp_path / "odd", {"b": torch.zeros(1), "a": torch.zeros(1)}, model_type="bert")
    assert complaint(lambda: mtvit_core.convert(folder)) == (
        f"source {folder}: no installed plugin knows its kind (model_type 'bert', 2 keys as a, b); "
        "known: toy."
    )
    (folder / "config.json").unlink()
    assert "(no config.json, 2 keys as a, b)" in complaint(lambda: mtvit_core.load(folder))


def test_every_misfit_is_listed(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    del weights["toy.backbone.vit.norm.bias"]
    weights |= {"stray": torch.zeros(1), "positions": torch.zeros(3, 32)}
    folder = write(tmp_path / "toy", weights)
    assert complaint(lambda: mtvit_core.convert(folder)) == (
        f"source {folder}: its weights are not those of toy: missing: toy.backbone.vit.norm.bias; "
        "unexpected: stray; of another shape: positions is (3, 32) instead of (9, 32)."
    )


def test_long_lists_are_cut(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder = write(tmp_path / "toy", weights | {f"stray{i:02}": torch.zeros(1) for i in range(23)})
    text = complaint(lambda: mtvit_core.convert(folder))
    assert text.endswith("stray18, stray19 and 3 more.")


def test_an_argument_that_means_nothing(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder = write(tmp_path / "toy", weights)
    assert complaint(lambda: mtvit_core.convert(folder, dataset="coco"), ConfigError) == (
        f"source {folder}: toy does not use dataset; leave it out."
    )


def test_sizes_are_read_from_keys_that_are_there(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    source = open_source(write(tmp_path / "toy", weights))
    assert source.shape("positions") == (9, 32)
    assert complaint(lambda: source.shape("depth")) == (
        f"source {source.where}: it lacks 'depth', from which its sizes are read."
    )
