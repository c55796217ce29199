"""Parameter groups: rates fall from head to patch embedding, vectors and tokens do not decay.

lr_i = lr * backbone_lr * layer_decay^(depth + 1 - i),  i = 0 embedding, 1..depth blocks, depth + 1 norm

With ``optimizer="muon"`` the matrices of blocks and of hidden layers have ``matrix_lr`` in place of ``lr``.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from torch import nn

from mtvit_core.backbones.interface import Backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.config.run import TrainConfig
from mtvit_train.optim.muon_and_adamw import MuonAndAdamW, hidden_matrices


@dataclass(frozen=True)
class GroupKey:
    """How one parameter is trained: factor on the rate, whether its weights decay, and whether by Muon."""

    scale: float
    decays: bool
    muon: bool = False


def place(
    name: str, parameter: nn.Parameter, backbone: Backbone, config: TrainConfig, hidden: Collection[str] = ()
) -> GroupKey:
    """Return the placement of a parameter by its name in the model.

    Args:
        name: In the model.
        parameter: Itself.
        backbone: The backbone, which knows how deep its weights lie and which are matrices.
        config: Settings.
        hidden: Names of the matrices that Muon updates, where it is the optimiser.
    """
    own = name.removeprefix("backbone.")
    if own == name:
        decays = parameter.ndim >= 2 and not re.search(r"(pos_embed|_token|tokens\.[^.]+\.weight)$", name)
        return GroupKey(1.0, decays, config.optimizer == "muon" and decays and name in hidden)
    decays, above = backbone.decays(own), backbone.spec.depth + 1 - backbone.depth_of(own)
    muon = config.optimizer == "muon" and decays and name in hidden
    return GroupKey(config.backbone_lr * config.layer_decay**above, decays, muon)


def make_optimizer(model: MultiTaskViT, config: TrainConfig, weighting: nn.Module) -> MuonAndAdamW:
    """Build the optimiser over few groups; parameters with a rate of 0 are frozen and left out.

    Those of the weighting of losses have the rate of the heads and no decay. Each group carries ``peak``, its
    highest rate. Muon multiplies in the type that the backbone does.
    """
    groups: dict[GroupKey, list[nn.Parameter]] = {}
    hidden = hidden_matrices(model)
    for name, parameter in model.named_parameters():
        placement = place(name, parameter, model.backbone, config, hidden)
        parameter.requires_grad_(placement.scale > 0)
        if parameter.requires_grad:
            groups.setdefault(placement, []).append(parameter)
    weights = list(weighting.parameters())
    if weights:
        groups.setdefault(GroupKey(1.0, decays=False), []).extend(weights)
    tables: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for placement, members in groups.items():
        peak = placement.scale * (config.matrix_lr if placement.muon else config.lr)
        decay = config.weight_decay * placement.decays
        tables[placement.muon].append({"params": members, "lr": peak, "peak": peak, "weight_decay": decay})
    return MuonAndAdamW(tables[True], tables[False], (0.9, config.beta2), model.backbone.precision)
