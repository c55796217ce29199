"""Parameter groups: rates fall from head to patch embedding, vectors and tokens do not decay.

lr_i = lr * backbone_lr * layer_decay^(depth + 1 - i),  i = 0 embedding, 1..depth blocks, depth + 1 norm

With ``optimizer="muon"`` the matrices of blocks and of hidden layers have ``matrix_lr`` in place of ``lr``.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import nn

from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError
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
    frozen, depth = frozen_blocks(config, backbone), backbone.depth_of(own)
    decays, above = backbone.decays(own), backbone.spec.depth + 1 - depth
    if (frozen and depth <= frozen) or frozen == backbone.spec.depth:
        return GroupKey(0.0, decays)
    rate = backbone.own_rate(own)
    if rate is not None:
        return GroupKey(rate, decays)
    muon = config.optimizer == "muon" and decays and name in hidden
    return GroupKey(config.backbone_lr * config.layer_decay**above, decays, muon)


def frozen_blocks(config: TrainConfig, backbone: Backbone) -> int:
    """Return how many of the first blocks are frozen; where all are, the whole backbone is.

    Raises:
        ConfigError: the backbone has fewer than the settings say.
    """
    depth = backbone.spec.depth
    if config.frozen_blocks > depth:
        raise ConfigError(
            f"config: train.frozen_blocks is {config.frozen_blocks}, but the backbone has {depth} blocks; "
            f"give at most {depth}."
        )
    return config.frozen_blocks if config.backbone_lr else depth


@runtime_checkable
class Learner(Protocol):
    """A model in training, as an optimiser sees it."""

    backbone: Backbone

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield its weights with their names; those of the backbone begin with ``backbone.``."""
        ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield its modules with their names."""
        ...


def make_optimizer(model: Learner, config: TrainConfig, weighting: nn.Module) -> MuonAndAdamW:
    """Build the optimiser over few groups; parameters with a rate of 0 are frozen and left out.

    In frozen blocks nothing is drawn either: no path is dropped, no coordinate stretched. Parameters of the
    weighting of losses have the rate of the heads and no decay. Each group carries ``peak``, its highest
    rate. Muon multiplies in the type that the backbone does.
    """
    groups: dict[GroupKey, list[nn.Parameter]] = {}
    hidden = hidden_matrices(model.named_modules(), model.backbone)
    for name, parameter in model.named_parameters():
        placement = place(name, parameter, model.backbone, config, hidden)
        parameter.requires_grad_(placement.scale > 0)
        if parameter.requires_grad:
            groups.setdefault(placement, []).append(parameter)
    frozen = frozen_blocks(config, model.backbone)
    if frozen:
        model.backbone.freeze(frozen)
    weights = list(weighting.parameters())
    if weights:
        groups.setdefault(GroupKey(1.0, decays=False), []).extend(weights)
    tables: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for placement, members in groups.items():
        peak = placement.scale * (config.matrix_lr if placement.muon else config.lr)
        decay = config.weight_decay * placement.decays
        tables[placement.muon].append({"params": members, "lr": peak, "peak": peak, "weight_decay": decay})
    return MuonAndAdamW(tables[True], tables[False], (0.9, config.beta2), model.backbone.precision)
