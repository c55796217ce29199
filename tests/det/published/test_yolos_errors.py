"""Published YOLOS checkpoints: what is said of weights and settings that do not fit."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import mtvit_core
from mtvit_core.errors import ConfigError
from support.tasks.published_cases import complaint, saved
from support.tasks.yolos_cases import official, yolos


def test_an_official_file_of_an_unknown_width(tmp_path: Path) -> None:
    path = tmp_path / "yolos.pth"
    torch.save(official(yolos()), path)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: tokens of width 48 are those of no published YOLOS (widths 192, 330, 384, 768); "
        "convert it by way of transformers, whose config.json tells heads."
    )


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    folder = saved(yolos(), tmp_path / "yolos")
    whole = load_file(folder / "model.safetensors")

    def refused(**changes: Tensor | None) -> str:
        weights = {k: v for k, v in (whole | changes).items() if v is not None}
        save_file(weights, folder / "model.safetensors")
        start = f"source {folder}: its weights are not those of YOLOS (transformers): "
        text = complaint(lambda: mtvit_core.load(folder))
        assert text.startswith(start)
        return text.removeprefix(start)

    key = "vit.encoder.layer.1.intermediate.dense.weight"
    assert refused(**{key: None}) == f"missing: {key}."
    assert refused(**{key: torch.zeros(48, 192)}) == (
        f"of another shape: {key} is (48, 192) instead of (192, 48)."
    )
    assert refused(**{"vit.pooler.dense.bias": torch.zeros(48)}) == "unexpected: vit.pooler.dense.bias."
    one_block = {k: None for k in whole if k.startswith("vit.encoder.layer.2.")}
    assert refused(**one_block).startswith("missing: vit.encoder.layer.2.attention.attention.key.bias, vit.")
    table = "vit.embeddings.position_embeddings"
    assert refused(**{table: whole[table][:, 1:]}) == (
        f"of another shape: {table} is (1, 67, 48) instead of (1, 68, 48)."
    )


def test_settings_that_cannot_be_followed(tmp_path: Path) -> None:
    folder = saved(yolos(), tmp_path / "yolos")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert complaint(lambda: mtvit_core.load(folder)) == (
        f"source {folder}: its config.json has hidden_act 'relu'; only 'gelu' is known here."
    )
    del config["image_size"]
    (folder / "config.json").write_text(json.dumps(config))
    assert complaint(lambda: mtvit_core.load(folder)) == (
        f"source {folder}: its config.json lacks 'image_size'."
    )


def test_columns_for_the_ids() -> None:
    settings = {"det": {"variant": "yolos", "id_columns": 90}}
    assert complaint(lambda: mtvit_core.build("vit_tiny_patch16_224", settings), ConfigError) == (
        "config: tasks.det.id_columns is 90, but category 90 needs its id as column; leave the setting out "
        "for a column per category."
    )
