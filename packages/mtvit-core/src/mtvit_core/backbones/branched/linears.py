"""Where the linear layers of a timm block are, and a block of the same parts with others in their place."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

#: Where each of the four may be: fused or apart for queries, keys and values, and for gated parts.
_PLACES = {
    "qkv": ("attn.qkv", "attn.q_proj", "attn.k_proj", "attn.v_proj"),
    "proj": ("attn.proj",),
    "fc1": ("mlp.fc1", "mlp.fc1_g", "mlp.fc1_x"),
    "fc2": ("mlp.fc2",),
}


class Unshared(nn.Module):
    """The place of a shared layer that no task shares."""


def layers_of(block: nn.Module, linear: str) -> dict[str, nn.Linear]:
    """Return the layers that one gate decides about, by their path in the block.

    Args:
        block: A block of timm.
        linear: One of ``LINEARS``.
    """
    there = dict(block.named_modules())
    return {path: layer for path in _PLACES[linear] if isinstance(layer := there.get(path), nn.Linear)}


def paths_of(block: nn.Module, linear: str) -> list[str]:
    """Return where the layers of one gate are, whether or not the shared copy is there."""
    there = dict(block.named_modules())
    return [path for path in _PLACES[linear] if isinstance(there.get(path), nn.Linear | Unshared)]


def name_of(path: str) -> str:
    """Return the name under which a task keeps its copy of a layer: the last part of the path."""
    return path.rpartition(".")[2]


def size_of(block: nn.Module, linear: str) -> int:
    """Return the number of weights and biases of one copy."""
    return sum(p.numel() for layer in layers_of(block, linear).values() for p in layer.parameters())


def ungated(block: Any) -> list[nn.Parameter]:
    """Return the weights of a block that every task reads, whatever the gates: those that have none.

    Args:
        block: A block of timm; ``block.own`` holds the copies of each task.
    """
    layers = [layer for linear in _PLACES for layer in layers_of(block, linear).values()]
    gated = {id(p) for part in (*layers, block.own) for p in part.parameters()}
    return [p for p in block.parameters() if id(p) not in gated]


def put(block: nn.Module, path: str, layer: nn.Module) -> None:
    """Put a layer in the place of another one."""
    parent, _, name = path.rpartition(".")
    setattr(block.get_submodule(parent), name, layer)


def variant(block: Any, layers: Mapping[str, nn.Module]) -> Any:
    """Return a block of the same parts, with some linear layers of its own; the block itself stays.

    Args:
        block: A block of timm as ``PlainBackbone`` holds it, run by ``run``.
        layers: The other layers by their path in the block.
    """
    made: Any = _twin(block)
    for path, layer in layers.items():
        parent, _, name = path.rpartition(".")
        if made.get_submodule(parent) is block.get_submodule(parent):
            setattr(made, parent, _twin(made.get_submodule(parent)))
        setattr(made.get_submodule(parent), name, layer)
    made.run = partial(block.run.func, made)
    return made


def _twin(module: nn.Module) -> nn.Module:
    """Another module of the same weights and parts, whose parts can be replaced."""
    made = object.__new__(type(module))
    made.__dict__ = {**module.__dict__, "_modules": dict(module._modules)}
    return made
