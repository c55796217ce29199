"""Published checkpoints: what a source may be, what is refused in which words; all weights arrive."""

import argparse
import json
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

import mtvit_core
from mtvit_core.cli.main import main
from mtvit_core.errors import CheckpointError, ConfigError, MtvitError
from mtvit_core.model import build as model_build
from mtvit_core.model import checkpoint
from mtvit_core.model import convert as conversion
from mtvit_core.model.backbone import create_backbone
from mtvit_core.published.format import Blueprint, Choices, KnownModel, PublishedFormat
from mtvit_core.published.recipe import Recipe, copied, on_base, reshaped, stacked
from mtvit_core.published.source import Source, Stored, open_source
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ShortSide
from support.spot_task import Spot, spot_class

CATEGORIES = Categories((Category(7, "cup"),))
OPTIONS = {"depth": 1, "embed_dim": 32, "num_heads": 2}
SPOT = spot_class("spot")


class Toy(PublishedFormat):
    """The tiny model of this test, whose source has q, k and v apart."""

    name = "toy"
    models = (KnownModel("Toy-S", "someone/toy", "spot", 0.1, "36.1 AP", "its paper", "MIT"),)
    pickles = (argparse.Namespace,)

    def fits(self, source: Source) -> bool:
        return source.kind == "toy" or source.has("toy.mark")

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        recipes = {key: recipe_of(key) for key in model().state_dict()}
        tasks: dict[str, Any] = {"spot": {"queries": 3}}
        return Blueprint(
            backbone="vit_tiny_patch16_224",
            canvas=(32, 64),
            tasks=tasks,
            categories=CATEGORIES,
            recipes=recipes,
            ignored=frozenset({"toy.mark"}),
            options=OPTIONS,
            framing=ShortSide(32, 64, 16),
        )


def recipe_of(key: str) -> Recipe:
    if key.startswith("backbone.vit.blocks.0.attn.qkv."):
        return stacked(*(f"{key}.{part}" for part in "qkv"))
    if key == "backbone.vit.pos_embed":
        return reshaped("positions", lambda own: own[1:])
    return copied(f"toy.{key}")


def model() -> mtvit_core.MultiTaskViT:
    backbone = create_backbone("vit_tiny_patch16_224", (32, 64), options=OPTIONS)
    return mtvit_core.build(backbone, {"spot": {"queries": 3}}, CATEGORIES)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toy format and its task be what is installed."""

    def choose(names: Sequence[str]) -> dict[str, type[Spot]]:
        return dict.fromkeys(names, SPOT)

    monkeypatch.setattr(model_build, "installed", choose)
    monkeypatch.setattr(conversion, "published_formats", lambda: (Toy(),))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Every tensor of a toy source, drawn at random."""
    found: dict[str, Tensor] = {"toy.mark": torch.zeros(1)}
    for key, value in model().state_dict().items():
        recipe = recipe_of(key)
        for part, shape in zip(recipe.keys, recipe.shapes(tuple(value.shape)), strict=True):
            found[part] = torch.randn(shape)
    return found


def write(folder: Path, weights: dict[str, Tensor], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "toy"} | config))
    return folder


def complaint(act: Callable[[], Any], kind: type[MtvitError] = CheckpointError) -> str:
    with pytest.raises(kind) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


def holds(found: mtvit_core.MultiTaskViT, weights: dict[str, Tensor]) -> bool:
    """Whether every tensor of a model is what its recipe makes of the source."""
    own = found.state_dict()
    made = {k: recipe_of(k).make([weights[part] for part in recipe_of(k).keys]) for k in own}
    return all(torch.equal(own[key], made[key].view(own[key].shape)) for key in own)


def test_a_folder_with_one_file(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    found = mtvit_core.convert(write(tmp_path / "toy", weights))
    assert holds(found, weights)
    assert not found.training
    assert found.framing == ShortSide(32, 64, 16)
    assert holds(mtvit_core.load(tmp_path / "toy"), weights)


def test_a_folder_with_shards(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder, keys = write(tmp_path / "toy", weights), sorted(weights)
    (folder / "model.safetensors").unlink()
    places = {key: f"model-{i % 2}.safetensors" for i, key in enumerate(keys)}
    for file in set(places.values()):
        save_file({key: weights[key] for key in keys if places[key] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert holds(mtvit_core.convert(folder), weights)
    index.write_text(json.dumps({"weight_map": places | {"more": "model-0.safetensors"}}))
    assert complaint(lambda: mtvit_core.convert(folder)) == (
        f"source {folder}: index and shards disagree about 'more'; download it again."
    )
    (folder / "model-1.safetensors").unlink()
    assert complaint(lambda: mtvit_core.convert(folder)) == (
        f"source {folder}: its index names the shard model-1.safetensors, which is not there."
    )


@pytest.mark.parametrize("nest", ["", "model", "state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_torch_save(tmp_path: Path, weights: dict[str, Tensor], nest: str, zipped: bool) -> None:
    path = tmp_path / "toy.pth"
    found: Any = OrderedDict(weights)
    if nest:
        found = {nest: found, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    torch.save(found, path, _use_new_zipfile_serialization=zipped)
    assert holds(mtvit_core.convert(path), weights)


def test_a_safetensors_file(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, tmp_path / "toy.safetensors")
    assert holds(mtvit_core.convert(tmp_path / "toy.safetensors"), weights)
    assert holds(mtvit_core.load(tmp_path / "toy.safetensors"), weights)


def test_a_hub_id(tmp_path: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "toy", weights)
    asked: list[str] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append(name)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert holds(mtvit_core.load("someone/toy"), weights)
    assert asked == ["someone/toy"]


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


def test_tensors_are_read_one_at_a_time(weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a model is filled, never more is held than the parts of one tensor."""
    alive: dict[int, int] = {}
    most = 0

    def stored(value: Tensor) -> Stored:
        def read() -> Tensor:
            nonlocal most
            copy = value.clone()
            alive[id(copy)] = copy.numel()
            weakref.finalize(copy, alive.pop, id(copy))
            most = max(most, sum(alive.values()))
            return copy

        return Stored(tuple(value.shape), read)

    source = Source("toy", {key: stored(value) for key, value in weights.items()}, {"model_type": "toy"})
    monkeypatch.setattr(conversion, "open_source", lambda where, allowed, name: source)
    found = mtvit_core.convert("toy")
    assert holds(found, weights)
    assert most <= max(value.numel() for value in found.state_dict().values())


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


def test_base_weights_are_added() -> None:
    recipe = on_base(stacked("a", "b"), lambda key: f"base:{key}")
    assert recipe.keys == ("a", "b", "base:a", "base:b")
    assert recipe.shapes((4, 3)) == [(2, 3)] * 4
    a, b, base_a, base_b = torch.randn(4, 2, 3)
    assert torch.equal(recipe.make([a, b, base_a, base_b]), torch.cat([a + base_a, b + base_b]))


def test_tasks_of_a_published_model(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder = write(tmp_path / "toy", weights)
    assert not mtvit_core.load(folder, []).task_list
    assert complaint(lambda: mtvit_core.load(folder, ["det"])) == (
        f"checkpoint {folder}: it has no task 'det'; it holds spot."
    )


def test_convert_command(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    folder, out = write(tmp_path / "toy", weights), tmp_path / "model.safetensors"
    arguments = ["convert", str(folder), "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("million parameters; tasks: spot.\n")
    again = mtvit_core.load(out)
    assert holds(again, weights)
    assert again.framing == ShortSide(32, 64, 16)
    assert checkpoint.read_header(out)["extra"] == {"converted_from": str(folder)}
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: out {out}: already exists; give another file with --out.\n"
    nowhere = tmp_path / "no" / "model.safetensors"
    result = CliRunner().invoke(main, ["convert", str(folder), "--out", str(nowhere)])
    assert result.stderr == f"error: out {nowhere}: no such folder {nowhere.parent}; create it first.\n"


def test_what_wraps_all_keys_is_named(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    wrapped = {f"module.{key}": value for key, value in weights.items()}
    folder, out = write(tmp_path / "toy", wrapped), tmp_path / "model.safetensors"
    result = CliRunner().invoke(main, ["convert", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert f"{folder}: all keys begin with 'module.', which was taken off.\n" in result.output
    assert holds(mtvit_core.load(out), weights)
    write(folder, {key: value for key, value in wrapped.items() if key != "module.positions"})
    assert complaint(lambda: mtvit_core.convert(folder)) == (
        f"source {folder}: its weights are not those of toy: missing: positions (without 'module.' before "
        "each)."
    )


def test_models_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtvit_core.plugins.registry.published_formats", lambda: (Toy(),))
    result = CliRunner().invoke(main, ["models", "--json"])
    assert json.loads(result.output) == [
        {
            "name": "Toy-S",
            "source": "someone/toy",
            "task": "spot",
            "parameters": 0.1,
            "accuracy": "36.1 AP",
            "reference": "its paper",
            "licence": "MIT",
        }
    ]
    result = CliRunner().invoke(main, ["models"])
    assert "Toy-S" in result.output
