"""What a model's tasks share of its backbone, told to people; and a model whose gates are fixed."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.gates import SHARED
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT


def gflops(run: Callable[[], Any]) -> float:
    """Return thousand millions of additions and multiplications, two for a product of two numbers added."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 1e9


def settled(model: MultiTaskViT) -> MultiTaskViT:
    """Return a model whose gates are fixed as they are, without the copies that are not used then.

    Its heads are those of the model given, which it is itself where no gates are learned.
    """
    backbone = model.backbone
    if not isinstance(backbone, BranchedBackbone) or backbone.scores is None:
        return model
    made = copy.copy(model)
    made._modules = {**model._modules, "backbone": backbone.settled()}
    return made


def shares_of(model: MultiTaskViT) -> dict[str, float]:
    """Return what a run records: times the parameters of the plain backbone, and share of own gates."""
    backbone = model.backbone
    if not isinstance(backbone, BranchedBackbone):
        return {}
    gates = backbone.gates
    count = backbone.sizes.numel() * len(backbone.tasks)
    return {"stored": backbone.stored / backbone.plain_size, "own_gates": len(gates.own) / max(1, count)}


def told_sharing(model: MultiTaskViT) -> list[str]:
    """Return lines that say which tasks share what, what is stored, and what a pass costs.

    There are none for a backbone that all tasks share.
    """
    model = settled(model)
    backbone = model.backbone
    if not isinstance(backbone, BranchedBackbone):
        return []
    gates, depth = backbone.gates, backbone.spec.depth
    lines = [
        f"sharing: {backbone.stored / 1e6:.2f} M parameters of the backbone are stored, "
        f"{backbone.stored / backbone.plain_size:.2f} times those of the plain one."
    ]
    for task in backbone.tasks:
        own = str(
            type(gates)(gates.tasks, depth, frozenset(layer for layer in gates.own if layer[0] == task))
        )
        leaf = gates.leaves(task)
        if own == SHARED:
            lines.append(f"sharing: {task} shares all {depth} blocks.")
        else:
            owned = own.partition(": ")[2]
            lines.append(f"sharing: {task} shares the first {leaf} of {depth} blocks, and owns {owned}.")
    for view in model.views:
        names = [task.name for task in model.of_view(view)]
        passes = gates.passes(names)
        shown = " | ".join(" + ".join(together) for together in passes)
        images = torch.zeros(1, 3, *model.canvases[view], dtype=torch.uint8, device=model.device)
        with evaluating(model):
            cost = gflops(lambda shown=images, seen=view: model(shown, seen, proposals=False))  # type: ignore[misc]  # bound now
        lines.append(
            f"sharing: {len(passes)} {'pass answers' if len(passes) == 1 else 'passes answer'} {shown}, with "
            f"{gates.blocks_run(names)} blocks on the image where one pass runs {depth}: {cost:.2f} GFLOP."
        )
    return lines
