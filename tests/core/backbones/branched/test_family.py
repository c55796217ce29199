"""Branched backbones by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone

NAME = "branched:vit_tiny_patch16_224"
SIZES = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def test_copies_begin_as_the_published_weights(tmp_path: Path) -> None:
    plain = create_backbone("vit_tiny_patch16_224", (32, 32), options=SIZES)
    save_file(plain.weights(), tmp_path / "plain.safetensors")
    made = create_backbone(NAME, (32, 32), tmp_path / "plain.safetensors", {**SIZES, "tasks": "a,b"})
    for key, value in made.state_dict().items():
        if ".own." in key:
            block, _, path = key.partition(".own.")
            part = {"qkv": "attn", "proj": "attn", "fc1": "mlp", "fc2": "mlp"}[path.split(".")[1]]
            wanted = plain.state_dict()[f"{block}.{part}.{path.split('.', 1)[1]}"]
            assert torch.equal(value, wanted)


def test_its_own_weights_are_read_back(tmp_path: Path) -> None:
    options = {**SIZES, "tasks": "a,b"}
    one, other = (create_backbone(NAME, (32, 32), options=options) for _ in range(2))
    save_file({k: v.contiguous() for k, v in one.weights().items()}, tmp_path / "own.safetensors")
    other = create_backbone(NAME, (32, 32), tmp_path / "own.safetensors", options)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("branched:", {"tasks": "a"}, "is no plain ViT of timm"),
        ("branched:crossvit:9_240", {"tasks": "a"}, "is no plain ViT of timm"),
        (NAME, {}, "do not name the tasks .* model.options.tasks='det,seg,pose'"),
        (NAME, {"tasks": "a,a"}, "tasks names 'a' twice"),
        (NAME, {"tasks": " , "}, "give each task that may own layers once"),
        (NAME, {"tasks": "a", "shared_blocks": 3}, "shared_blocks is 3, but it has 2 blocks"),
        (NAME, {"tasks": "a", "keep": 0.5, "keep_after": 1}, "would not agree which patches leave"),
        (NAME, {"tasks": "a", "gates": "b: 1.qkv"}, "none of the tasks a"),
    ],
)
def test_what_does_not_fit_is_one_line(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_backbone(name, (32, 32), options={**SIZES, **options})
