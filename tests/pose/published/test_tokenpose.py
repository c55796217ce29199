"""TokenPose in the keys of its authors, against its forward pass written out from the paper and its code."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mtvit_core
from mtvit_core.errors import CheckpointError
from support.tasks.published_pose_cases import draw, relative

LIMIT = 1e-4
#: Prefix of keys, channels of the map, rows and columns of a patch on it, heads, width that scales attention.
VERSIONS = {
    "T": ("transformer.", 3, (16, 12), 16, 12),
    "S-v1": ("features.", 256, (4, 3), 8, 192),
    "S-v2": ("features.", 256, (2, 2), 8, 192),
}


class Holder(nn.Module):
    """A module with whatever children and parameters it is given."""

    def __init__(self, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def bottleneck(inputs: int) -> Holder:
    layers: dict[str, nn.Module] = {}
    for i, (a, b, k) in enumerate([(inputs, 64, 1), (64, 64, 3), (64, 256, 1)], 1):
        layers |= {f"conv{i}": nn.Conv2d(a, b, k, padding=k // 2, bias=False), f"bn{i}": nn.BatchNorm2d(b)}
    if inputs != 256:
        layers["downsample"] = nn.Sequential(nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256))
    return Holder(**layers)


def sine(rows: int, columns: int, width: int) -> Tensor:
    """The fixed table, number by number."""
    table = torch.zeros(1, rows * columns, width)
    half = width // 2
    for y in range(rows):
        for x in range(columns):
            for i in range(half):
                power = 10000 ** (2 * (i // 2) / half)
                angles = (
                    (y + 1) / (rows + 1e-6) * 2 * math.pi / power,
                    (x + 1) / (columns + 1e-6) * 2 * math.pi / power,
                )
                for part, angle in enumerate(angles):
                    table[0, y * columns + x, part * half + i] = (
                        math.sin(angle) if i % 2 == 0 else math.cos(angle)
                    )
    return table


class Reference(nn.Module):
    """TokenPose T, S-v1 or S-v2 at 256 x 192."""

    def __init__(self, version: str, depth: int, keypoints: int = 17) -> None:
        super().__init__()
        self.prefix, self.channels, self.patch, self.heads, scaling = VERSIONS[version]
        self.scale, width = scaling**-0.5, 192
        rows, columns = (256, 192) if self.channels == 3 else (64, 48)
        grid = (rows // self.patch[0], columns // self.patch[1])
        layers = [
            nn.ModuleList(
                [
                    Holder(fn=Holder(norm=nn.LayerNorm(width), fn=self.attention(width))),
                    Holder(fn=Holder(norm=nn.LayerNorm(width), fn=self.feed_forward(width))),
                ]
            )
            for _ in range(depth)
        ]
        hidden = 64 * 48 // 8
        parts: dict[str, nn.Module | nn.Parameter] = {
            "keypoint_token": nn.Parameter(torch.zeros(1, keypoints, width)),
            "pos_embedding": nn.Parameter(torch.zeros(1, grid[0] * grid[1], width), requires_grad=False),
            "patch_to_embedding": nn.Linear(self.patch[0] * self.patch[1] * self.channels, width),
            "transformer": Holder(layers=nn.ModuleList(layers)),
            "mlp_head": nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, hidden),
                nn.LayerNorm(hidden),
                nn.Linear(hidden, 64 * 48),
            ),
        }
        if self.channels == 256:
            parts |= {
                "conv1": nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False),
                "bn1": nn.BatchNorm2d(64),
                "conv2": nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False),
                "bn2": nn.BatchNorm2d(64),
                "layer1": nn.Sequential(*(bottleneck(64 if i == 0 else 256) for i in range(4))),
            }
        setattr(self, self.prefix[:-1], Holder(**parts))
        draw(self)
        self.body.pos_embedding.data = sine(*grid, width)
        self.eval()

    @staticmethod
    def attention(width: int) -> Holder:
        return Holder(
            to_qkv=nn.Linear(width, 3 * width, bias=False), to_out=nn.Sequential(nn.Linear(width, width))
        )

    @staticmethod
    def feed_forward(width: int) -> Holder:
        linear = (nn.Linear(width, 3 * width), nn.Linear(3 * width, width))
        return Holder(net=nn.Sequential(linear[0], nn.GELU(), nn.Dropout(0), linear[1]))

    @property
    def body(self) -> Any:
        return getattr(self, self.prefix[:-1])

    def stem(self, images: Tensor) -> Tensor:
        body = self.body
        if self.channels == 3:
            return images
        x = F.relu(body.bn1(body.conv1(images)))
        x = F.relu(body.bn2(body.conv2(x)))
        for block in body.layer1:
            y = F.relu(block.bn1(block.conv1(x)))
            y = F.relu(block.bn2(block.conv2(y)))
            y = block.bn3(block.conv3(y))
            x = F.relu(y + (block.downsample(x) if hasattr(block, "downsample") else x))
        return x

    def patches(self, maps: Tensor) -> Tensor:
        """Every patch as one vector: row by row, column by column, channels last."""
        p, q = self.patch
        rows = []
        for i in range(0, maps.shape[2], p):
            for j in range(0, maps.shape[3], q):
                rows.append(maps[:, :, i : i + p, j : j + q].permute(0, 2, 3, 1).flatten(1))
        return torch.stack(rows, 1)

    def attend(self, layer: Any, x: Tensor) -> Tensor:
        q, k, v = layer.to_qkv(x).chunk(3, -1)
        width = x.shape[-1] // self.heads
        outputs = []
        for head in range(self.heads):
            own = slice(head * width, (head + 1) * width)
            weights = (q[..., own] @ k[..., own].transpose(1, 2) * self.scale).softmax(-1)
            outputs.append(weights @ v[..., own])
        return layer.to_out(torch.cat(outputs, -1))

    def forward(self, images: Tensor) -> Tensor:
        body = self.body
        visual = body.patch_to_embedding(self.patches(self.stem(images))) + body.pos_embedding
        tokens = body.keypoint_token.expand(len(images), -1, -1)
        count = tokens.shape[1]
        x = torch.cat([tokens, visual], 1)
        for i, (attention, feed) in enumerate(body.transformer.layers):
            if i:
                x[:, count:] += body.pos_embedding
            x = self.attend(attention.fn.fn, attention.fn.norm(x)) + x
            x = feed.fn.fn.net(feed.fn.norm(x)) + x
        return body.mlp_head(x[:, :count]).unflatten(2, (64, 48))


def written(model: Reference, path: Path, wrapped: bool = False) -> Path:
    """A file of weights; wrapped, as the training writes its checkpoints."""
    state = model.state_dict()
    if wrapped:
        found = {f"module.{key}": value for key, value in state.items()}
        best = {"best_state_dict": state, "perf": np.float64(0.725), "optimizer": {"param_groups": []}}
        torch.save({"epoch": 3, "model": "pose_tokenpose_s", "state_dict": found, **best}, path)
    else:
        torch.save(state, path)
    return path


@torch.inference_mode()
def difference(ours: mtvit_core.MultiTaskViT, theirs: Reference, count: int = 2) -> float:
    images = torch.randint(0, 256, (count, 3, 256, 192), dtype=torch.uint8)
    expected = theirs(ours.backbone.normalise(images))
    maps = ours(images, "person")["pose"].maps
    assert maps.shape == expected.shape
    assert expected.std() > 0.1
    return relative(maps, expected)


@pytest.mark.parametrize("version", VERSIONS)
def test_heatmaps_are_those_of_the_authors(tmp_path: Path, version: str):
    theirs = Reference(version, depth=3)

    ours = mtvit_core.load(written(theirs, tmp_path / "tokenpose.pth"))

    assert ours.task_list[0].config.variant == "tokenpose"
    assert ours.crop == "centred"
    assert difference(ours, theirs) < LIMIT


def test_checkpoints_of_the_training_load_too(tmp_path: Path):
    theirs = Reference("S-v1", depth=2)

    ours = mtvit_core.load(written(theirs, tmp_path / "checkpoint.pth", wrapped=True))

    assert difference(ours, theirs) < LIMIT


def test_counts_of_data_sets_that_its_code_does_not_train_on_are_refused(tmp_path: Path):
    path = written(Reference("T", depth=1, keypoints=14), tmp_path / "aic.pth")
    with pytest.raises(CheckpointError, match=r"draws 14 keypoints, and no known .* \(coco 17, mpii 16\)"):
        mtvit_core.load(path)


def test_a_converted_model_comes_back_bit_by_bit(tmp_path: Path):
    ours = mtvit_core.load(written(Reference("S-v1", depth=2), tmp_path / "tokenpose.pth"))
    mtvit_core.save(ours, tmp_path / "model.safetensors")

    again = mtvit_core.load(tmp_path / "model.safetensors")

    images = torch.randint(0, 256, (1, 3, 256, 192), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(again(images)["pose"].maps, ours(images)["pose"].maps)


def complaint(weights: dict[str, Tensor], path: Path) -> str:
    torch.save(weights, path)
    with pytest.raises(CheckpointError) as error:
        mtvit_core.load(path)
    return str(error.value).removeprefix(f"source {path}: ")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return Reference("T", depth=1).state_dict()


def test_versions_on_an_hrnet_are_refused_with_the_reason(tmp_path: Path, weights: dict[str, Tensor]):
    odd = weights | {"pre_feature.conv1.weight": torch.zeros(64, 3, 3, 3)}
    assert complaint(odd, tmp_path / "b.pth") == (
        "TokenPose-B and -L run on the features of an HRNet (pre_feature.*), not on a plain ViT; mtvit "
        "converts T, S-v1 and S-v2."
    )


def test_keys_that_do_not_fit_are_listed(tmp_path: Path, weights: dict[str, Tensor]):
    odd = dict(weights)
    del odd["transformer.transformer.layers.0.1.fn.fn.net.3.bias"]
    odd["transformer.pos_embedding"] = torch.zeros(1, 273, 192)
    odd["more"] = torch.zeros(1)
    assert complaint(odd, tmp_path / "odd.pth") == (
        "its weights are not those of tokenpose (official): missing: "
        "transformer.transformer.layers.0.1.fn.fn.net.3.bias; unexpected: more; of another shape: "
        "transformer.pos_embedding is (1, 273, 192) instead of (1, 256, 192)."
    )


def test_other_patches_are_refused(tmp_path: Path, weights: dict[str, Tensor]):
    odd = weights | {"transformer.patch_to_embedding.weight": torch.zeros(192, 768)}
    assert complaint(odd, tmp_path / "odd.pth") == (
        "patch_to_embedding is 192 x 768; TokenPose with these keys has width 192 and patches of 16 x 12, "
        "times 3 channels."
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_full_sizes_give_the_same(
    tmp_path: Path, version: str, record_property: Callable[[str, float], None]
):
    theirs = Reference(version, depth=12)

    ours = mtvit_core.load(written(theirs, tmp_path / "tokenpose.pth"))
    found = difference(ours, theirs, count=1)

    record_property("million parameters", sum(p.numel() for p in ours.parameters()) / 1e6)
    record_property("relative difference", found)
    assert found < LIMIT
