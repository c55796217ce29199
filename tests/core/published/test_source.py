"""Published checkpoints: what a source may be, and that all of its weights arrive."""

import argparse
import json
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

import mtvit_core
from mtvit_core.cli.main import main
from mtvit_core.model import checkpoint
from mtvit_core.model import convert as conversion
from mtvit_core.published.recipe import on_base, stacked
from mtvit_core.published.source import Source, Stored
from mtvit_core.structures.framing import ShortSide
from support.commands.toy_format import Toy, holds, write
from support.tasks.published_cases import complaint

pytestmark = pytest.mark.usefixtures("toy")


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
