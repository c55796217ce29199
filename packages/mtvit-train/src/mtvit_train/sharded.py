"""Weights, gradients and states of the optimiser shared out over processes (FSDP2): for large backbones.

Each process keeps a part of every tensor. A block's weights are gathered while the block is run, those of
heads and tokens during a whole pass. State that is kept is whole, and serves any number of processes.

Source: Zhao et al. 2023 (PyTorch FSDP); torch.distributed.fsdp.fully_shard.
"""

from collections.abc import Mapping
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from mtvit_core.errors import ConfigError
from mtvit_train.config import TrainConfig
from mtvit_train.gradients import Objective


def check_sharding(config: TrainConfig) -> None:
    """Refuse what needs whole matrices.

    Raises:
        ConfigError: the optimiser or the weighting does.
    """
    for setting, found, other in (
        ("optimizer", config.optimizer == "muon", "adamw"),
        ("weighting", config.weighting == "gradnorm", "fixed or uncertainty"),
    ):
        if found and config.parallel == "fsdp":
            raise ConfigError(
                f"config: train.{setting} is {vars(config)[setting]!r}, which needs whole matrices, but with "
                f"train.parallel = 'fsdp' each process holds a part of them; take {other}, or ddp."
            )


def shard(objective: Objective, device: torch.device, world: int) -> None:
    """Leave each process its part of every weight.

    Args:
        objective: The model and the weighting, equal in all processes.
        device: Where they are.
        world: Number of processes.
    """
    mesh = init_device_mesh(device.type, (world,))
    backbone = objective.model.backbone
    step = backbone.block_step
    for block in backbone.vit.blocks:
        # A block's weights are gathered around a method of the block, and mtvit runs blocks by a function.
        block.run = MethodType(step, block)
        fully_shard(block, mesh=mesh)
        register_fsdp_forward_method(block, "run")
    backbone.block_step = _run
    fully_shard(objective, mesh=mesh)


def _run(block: Any, *arguments: Any) -> Tensor:
    found: Tensor = block.run(*arguments)
    return found


def whole(values: Tensor) -> Tensor:
    """Return a tensor that is not shared out; all processes have to call it."""
    return values.full_tensor() if isinstance(values, DTensor) else values


def gathered(tree: Any, keep: bool) -> Any:
    """Return nested state in which no tensor is shared out; all processes have to call it.

    Args:
        tree: Mappings, lists and tuples of tensors and plain data.
        keep: Whether this process wants what was shared out, on the CPU; otherwise it gets empty tensors.
    """
    if isinstance(tree, DTensor):  # one at a time: a GPU may have no room for all
        full = tree.full_tensor()
        return full.cpu() if keep else full.new_empty(0)
    if isinstance(tree, Mapping):
        return {key: gathered(value, keep) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(gathered(value, keep) for value in tree)
    return tree


def part(value: Tensor, like: Tensor) -> Tensor:
    """Return the part of a whole tensor that this process has of ``like``; the tensor where that is whole."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def parts_of_weights(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a module as this process holds it."""
    own = module.state_dict()
    return {name: part(value, own[name]) if name in own else value for name, value in state.items()}


def parts_of_entry(entry: Mapping[str, Any], like: Tensor) -> dict[str, Any]:
    """Return an optimiser's state of one parameter as this process holds it."""
    return {
        name: part(value, like) if isinstance(value, Tensor) and value.shape == like.shape else value
        for name, value in entry.items()
    }
