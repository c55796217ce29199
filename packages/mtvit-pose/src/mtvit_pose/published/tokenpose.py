"""TokenPose T, S-v1 and S-v2 of their authors (Li et al. 2021), as a plain ViT with keypoint tokens.

patches   kernel [D, C, p, q] from a matrix D x (p q C) that reads a patch row by row, channels last
q         of S: divided by sqrt(D) there and by sqrt(d), the width of a head, here; so its rows are times
          sqrt(d / D)
positions one fixed table, added to the patches before every block
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from mtvit_core.backbones.plain.stem import STRIDE
from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Blueprint, Choices, KnownModel, PublishedFormat
from mtvit_core.published.recipe import Recipe, copied, reshaped
from mtvit_core.published.source import Source
from mtvit_pose.published.catalogue import TOKENPOSE
from mtvit_pose.published.datasets import EXPERTS, dataset_with
from mtvit_pose.published.vitpose import portrait
from mtvit_pose.published.vitpose_weights import AFFINE, STATISTICS
from mtvit_pose.topdown.keypoint_token import STRIDE as HEATMAP_STRIDE

#: The backbone is that of DeiT-Ti, which has the width of TokenPose; what differs are options.
BACKBONE = "deit_tiny_patch16_224"
WIDTH = 192
NORM_EPS = 1e-5
#: What its code trains on: COCO and MPII.
TRAINED_ON = tuple(dataset for dataset in EXPERTS if dataset.name in ("coco", "mpii"))


@dataclass(frozen=True)
class Version:
    """What the keys of a file do not tell of a version.

    Attributes:
        channels: Channels of the map that patches are cut from.
        prefix: Of the keys of the transformer.
        heads: Attention heads of a block.
        scale: Whether attention is scaled by the width of a head, and not by that of the token.
        patches: Rows and columns of a patch on the map, by their product.
        stride: Pixels per point of the map.
    """

    channels: int
    prefix: str
    heads: int
    scale: bool
    patches: dict[int, tuple[int, int]]
    stride: int


T = Version(3, "transformer.", 16, True, {192: (16, 12)}, 1)
S = Version(256, "features.", 8, False, {12: (4, 3), 4: (2, 2)}, STRIDE)


class TokenPoseFormat(PublishedFormat):
    """Files of the authors' code: a bare state dict, or a checkpoint of the training with it."""

    name = "tokenpose (official)"
    models: ClassVar[tuple[KnownModel, ...]] = TOKENPOSE

    def fits(self, source: Source) -> bool:
        """Tell by the keypoint tokens."""
        return any(f"{version.prefix}keypoint_token" in source.tensors for version in (S, T))

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model; see the base class."""
        if any(key.startswith("pre_feature.") for key in source.tensors):
            raise CheckpointError(
                f"source {source.where}: TokenPose-B and -L run on the features of an HRNet (pre_feature.*), "
                "not on a plain ViT; mtvit converts T, S-v1 and S-v2."
            )
        version = S if f"{S.prefix}keypoint_token" in source.tensors else T
        at = version.prefix
        width, values = source.shape(f"{at}patch_to_embedding.weight")
        area = values // version.channels
        if width != WIDTH or area not in version.patches:
            known = " or ".join(f"{p} x {q}" for p, q in version.patches.values())
            raise CheckpointError(
                f"source {source.where}: patch_to_embedding is {width} x {values}; TokenPose with these keys "
                f"has width {WIDTH} and patches of {known}, times {version.channels} channels."
            )
        patch = version.patches[area]
        layers = re.compile(re.escape(f"{at}transformer.layers.") + r"(\d+)\.")
        found = [int(match[1]) for key in source.tensors if (match := layers.match(key))]
        depth = max(found, default=-1) + 1
        last = max(int(k.split(".")[-2]) for k in source.tensors if k.startswith(f"{at}mlp_head."))
        pixels = source.shape(f"{at}mlp_head.{last}.weight")[0]
        rows, columns = portrait(pixels, (HEATMAP_STRIDE, HEATMAP_STRIDE), source.where)
        hidden = source.shape(f"{at}transformer.layers.0.1.fn.fn.net.0.weight")[0]
        return Blueprint(
            backbone=BACKBONE,
            canvas=(rows, columns),
            person_canvas=(rows, columns),
            options={
                "patch_size": [side * version.stride for side in patch],
                "depth": depth,
                "num_heads": version.heads,
                "mlp_ratio": hidden / width,
                "qkv_bias": False,
                "class_token": False,
                "global_pool": "",
                "final_norm": False,
                "norm_eps": NORM_EPS,
                "stem": "none" if version is T else "bottleneck",
                "positions": "sine",
                "positions_again": True,
            },
            tasks={"pose": {"variant": "tokenpose", "flip_test": True}},
            categories=dataset_with(
                source.shape(f"{at}keypoint_token")[1], source.where, TRAINED_ON
            ).categories,
            recipes=dict(recipes(version, at, depth, patch, last)),
        )


def recipes(
    version: Version, at: str, depth: int, patch: tuple[int, int], last: int
) -> Iterator[tuple[str, Recipe]]:
    """Yield a recipe for every weight and statistic."""
    own = "backbone.vit."
    yield f"{own}pos_embed", copied(f"{at}pos_embedding")
    yield "tasks.pose.tokens.pose.weight", reshaped(f"{at}keypoint_token", lambda shape: (1, *shape))
    cut = f"{own}patch_embed.proj" if version is T else f"{own}patch_embed.proj.1"
    yield f"{cut}.weight", channels_last(f"{at}patch_to_embedding.weight", patch)
    yield f"{cut}.bias", copied(f"{at}patch_to_embedding.bias")
    if version is S:
        yield from ((f"{own}patch_embed.proj.0.{key}", copied(at + key)) for key in stem_keys())
    scale = 1.0 if version.scale else (1 / version.heads) ** 0.5
    for i in range(depth):
        block, theirs = f"{own}blocks.{i}.", f"{at}transformer.layers.{i}."
        yield f"{block}attn.qkv.weight", scaled_queries(f"{theirs}0.fn.fn.to_qkv.weight", scale)
        for part in AFFINE:
            yield f"{block}norm1.{part}", copied(f"{theirs}0.fn.norm.{part}")
            yield f"{block}attn.proj.{part}", copied(f"{theirs}0.fn.fn.to_out.0.{part}")
            yield f"{block}norm2.{part}", copied(f"{theirs}1.fn.norm.{part}")
            yield f"{block}mlp.fc1.{part}", copied(f"{theirs}1.fn.fn.net.0.{part}")
            yield f"{block}mlp.fc2.{part}", copied(f"{theirs}1.fn.fn.net.3.{part}")
    for layer in range(last + 1):
        for part in AFFINE:
            yield f"tasks.pose.head.mlp_head.{layer}.{part}", copied(f"{at}mlp_head.{layer}.{part}")


def stem_keys() -> Iterator[str]:
    """Yield the keys of the convolutional stem, which are the same in both."""
    norm = (*AFFINE, *STATISTICS)
    pairs = [("conv1", "bn1"), ("conv2", "bn2")]
    pairs += [(f"layer1.{i}.conv{j}", f"layer1.{i}.bn{j}") for i in range(4) for j in (1, 2, 3)]
    pairs += [("layer1.0.downsample.0", "layer1.0.downsample.1")]
    for convolution, batch_norm in pairs:
        yield f"{convolution}.weight"
        yield from (f"{batch_norm}.{part}" for part in norm)


def channels_last(key: str, patch: tuple[int, int]) -> Recipe:
    """The kernel of a matrix that reads patches with channels last."""
    return Recipe(
        (key,),
        lambda own: [(own[0], own[1] * patch[0] * patch[1])],
        lambda parts: parts[0].reshape(len(parts[0]), *patch, -1).permute(0, 3, 1, 2),
    )


def scaled_queries(key: str, scale: float) -> Recipe:
    """The fused projection, with the rows of q times ``scale``."""

    def make(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        q, k, v = parts[0].chunk(3)
        return torch.cat([q * scale, k, v])

    return Recipe((key,), lambda own: [own], make)
