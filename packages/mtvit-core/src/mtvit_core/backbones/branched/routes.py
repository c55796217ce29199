"""The blocks that a task runs: those of the backbone, with its own layers in the place of shared ones."""

import copy
from collections.abc import Collection, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.branched.gated_linear import GatedLinear
from mtvit_core.backbones.branched.gates import LINEARS, Gates
from mtvit_core.backbones.branched.linears import layers_of, name_of, paths_of, variant
from mtvit_core.backbones.known_context import known_depths
from mtvit_core.backbones.request import Request


def copies(block: nn.Module, linears: Collection[str]) -> nn.ModuleDict:
    """Return copies of some linear layers of a block, by their names."""
    layers = [item for one in LINEARS if one in linears for item in layers_of(block, one).items()]
    return nn.ModuleDict({name_of(path): copy.deepcopy(layer) for path, layer in layers})


def hard_blocks(blocks: Sequence[Any], gates: Gates, task: str) -> tuple[Any, ...]:
    """Return the blocks of a task whose gates are 0 or 1.

    Args:
        blocks: Blocks of timm; ``block.own`` holds the copies of each task.
        gates: The gates.
        task: Its name; of none, the blocks have what all share, and the first task's where none shares it.
    """
    orphans = gates.shared_by_none()
    made = []
    for i, block in enumerate(blocks):
        owner = task or gates.tasks[0]
        owned = gates.owned(task, i) if task else [one for one in LINEARS if (i, one) in orphans]
        layers = {path: block.own[owner][name_of(path)] for one in owned for path in paths_of(block, one)}
        made.append(variant(block, layers) if layers else block)
    return tuple(made)


def soft_blocks(blocks: Sequence[Any], first: int, task: str, gates: Float[Tensor, "L 4"]) -> tuple[Any, ...]:
    """Return the blocks of a task with layers between the shared ones and its own.

    Args:
        blocks: As for ``hard_blocks``.
        first: The first block with gates.
        task: Its name.
        gates: Its gates, by block from ``first`` on and linear layer, through which gradients go.
    """
    numbers, made = gates.detach().tolist(), []
    for i, block in enumerate(blocks):
        layers: dict[str, nn.Module] = {
            path: GatedLinear(
                gates[i - first, k], numbers[i - first][k], shared, block.own[task][name_of(path)]
            )
            for k, linear in enumerate(LINEARS if i >= first else ())
            for path, shared in layers_of(block, linear).items()
        }
        made.append(variant(block, layers) if layers else block)
    return tuple(made)


def depths_in_common(
    requests: Sequence[Request], leaves: Sequence[int], depth: int, known: int
) -> list[tuple[int, ...]]:
    """Return where each pass takes a context that others take too, up to the block where it leaves them.

    Args:
        requests: What each pass is asked for.
        leaves: The first block of which each runs layers of its own; ``depth`` for none.
        depth: Number of blocks.
        known: Block up to which the context is known before.
    """
    common = sorted(leaves)[-2] if len(leaves) > 1 else 0
    return [
        known_depths(r.groups, depth, min(leaf, max(common, known)), r.patches, r.depths)
        for r, leaf in zip(requests, leaves, strict=True)
    ]
