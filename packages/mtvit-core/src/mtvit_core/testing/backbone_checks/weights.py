"""Checks of a backbone's weights: how deep they lie, that all of them learn, and that they survive a file."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.checkpoint import load, save
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.backbone_case import (
    EFFECT,
    UNCHANGED,
    BackboneCase,
    gap,
    learned,
    require_same,
    tensors,
)
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.example import CATEGORIES


def depths(case: BackboneCase) -> None:
    """Each weight has a depth from 0 to depth + 1; block i of `blocks()` owns just those of depth i + 1."""
    backbone = case.fresh()
    last, owners = backbone.spec.depth + 1, dict[int, int]()
    for i, block in enumerate(backbone.blocks()):
        for weight in block.parameters():
            if owners.setdefault(id(weight), i + 1) != i + 1:
                raise Breach(
                    f"blocks {owners[id(weight)] - 1} and {i} share a weight", "let blocks share none"
                )
    for name, weight in backbone.named_parameters():
        found = backbone.depth_of(name)
        if not 0 <= found <= last:
            raise Breach(f"depth_of({name!r}) is {found}, not from 0 to {last}", "count the embedding as 0")
        owner = owners.get(id(weight), 0)
        if owner != found and (owner or 0 < found < last):
            held = f"block {owner - 1} holds it" if owner else "no block holds it"
            raise Breach(
                f"depth_of({name!r}) is {found}, but {held}",
                "return i + 1 for the weights of block i, and let `blocks()` be in the order they are run",
            )


def reach(case: BackboneCase) -> None:
    """Every weight that learns has a gradient from what a pass gives: none is idle."""
    backbone = case.stirred().train()
    found = tensors(backbone(case.images(), [learned(backbone, "a")]))
    torch.stack([value.square().mean() for value in found.values() if value.numel()]).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for name, weight in backbone.named_parameters():
        if weight.requires_grad and weight.grad is None:
            raise Breach(
                f"no output reads {name}", "leave out what no block runs, or set requires_grad to False"
            )


@torch.no_grad()
def state_dict(case: BackboneCase) -> None:
    """Saved with mtvit_core.save and read with mtvit_core.load, the backbone gives the same to the bit."""
    backbone, images = case.stirred(seed=1), case.images()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save(MultiTaskViT(backbone, [], CATEGORIES), path)
        again = load(path).backbone
    require_same(
        tensors(backbone(images)),
        tensors(again(images)),
        0.0,
        "after the model was saved and loaded",
        "make every tensor that is drawn or learned a parameter, or a buffer that is persistent",
    )


@torch.no_grad()
def pretrained(case: BackboneCase) -> None:
    """`pretrained` reads a file of `weights()`, or a ConfigError refuses it, as it does a missing file."""
    backbone, images = case.stirred(seed=1), case.images()
    remedy = "read the file, or refuse `pretrained` by a ConfigError; never ignore it"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        try:
            case.fresh(seed=2, pretrained=path)
        except (ConfigError, CheckpointError):
            pass
        else:
            raise Breach("a file of weights that does not exist was taken", remedy)
        save_file({key: value.contiguous() for key, value in backbone.weights().items()}, path)
        try:
            again = case.fresh(seed=2, pretrained=path).eval()
        except ConfigError:
            return
    expected, got = tensors(backbone(images)), tensors(again(images))
    if any(gap(value, got[name]) > EFFECT for name, value in expected.items()):
        raise Breach("a backbone made with a file of weights gives something else than theirs", remedy)
    require_same(expected, got, UNCHANGED, "after the weights were written to a file and read", remedy)
