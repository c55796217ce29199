"""Weights, gradients and states of the optimiser shared out over processes (FSDP2): for large backbones.

Each process keeps a part of every tensor. A block's weights are gathered while the block is run, those of
heads and tokens during a whole pass. Each writes its parts, which serve any number of processes.

Source: Zhao et al. 2023 (PyTorch FSDP); torch.distributed.fsdp.fully_shard.
"""

import torch
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from mtvit_core.errors import ConfigError
from mtvit_train.config.run import TrainConfig
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.engine.gradients import Objective


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


def shard(objective: Objective, device: torch.device, ranks: Ranks) -> None:
    """Leave each process its part of every weight.

    Args:
        objective: The model and the weighting, equal in all processes.
        device: Where they are.
        ranks: The processes.
    """
    mesh = ranks.mesh(device)
    backbone = objective.model.backbone
    for block in backbone.blocks():
        fully_shard(block, mesh=mesh)
        if backbone.block_method != "forward":  # around which weights are gathered anyway
            register_fsdp_forward_method(block, backbone.block_method)
    fully_shard(objective, mesh=mesh)
