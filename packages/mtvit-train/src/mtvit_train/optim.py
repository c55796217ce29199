"""Parameter groups: rates fall from head to patch embedding, vectors and tokens do not decay.

lr_i = lr * backbone_lr * layer_decay^(depth + 1 - i),  i = 0 embedding, 1..depth blocks, depth + 1 norm
"""

import re
from dataclasses import dataclass

import torch
from torch import nn

from mtvit_core.model import MultiTaskViT
from mtvit_train.config import TrainConfig


@dataclass(frozen=True)
class Placement:
    """How one parameter is trained: factor on the rate, and whether its weights decay."""

    scale: float
    decays: bool


def place(name: str, parameter: nn.Parameter, depth: int, config: TrainConfig) -> Placement:
    """Return the placement of a parameter by its name in the model."""
    decays = parameter.ndim >= 2 and not re.search(r"(pos_embed|_token|tokens\.[^.]+\.weight)$", name)
    if not name.startswith("backbone."):
        return Placement(1.0, decays)
    block = re.search(r"blocks\.(\d+)\.", name)
    layer = int(block[1]) + 1 if block else depth + 1 if ".norm." in name else 0
    return Placement(config.backbone_lr * config.layer_decay ** (depth + 1 - layer), decays)


def make_optimizer(model: MultiTaskViT, config: TrainConfig, weighting: nn.Module) -> torch.optim.AdamW:
    """Build AdamW over few groups; parameters with a rate of 0 are frozen and left out.

    Those of the weighting of losses have the rate of the heads and no decay.

    Each group carries ``scale``, its factor on the rate of the schedule.
    """
    groups: dict[Placement, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        placement = place(name, parameter, model.backbone.spec.depth, config)
        parameter.requires_grad_(placement.scale > 0)
        if parameter.requires_grad:
            groups.setdefault(placement, []).append(parameter)
    tables = [
        {"params": members, "weight_decay": config.weight_decay * placement.decays, "scale": placement.scale}
        for placement, members in groups.items()
    ]
    weights = list(weighting.parameters())
    if weights:
        tables.insert(0, {"params": weights, "weight_decay": 0.0, "scale": 1.0})
    return torch.optim.AdamW(tables, lr=config.lr, betas=(0.9, config.beta2))
