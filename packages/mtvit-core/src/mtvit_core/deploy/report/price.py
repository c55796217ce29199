"""What a model costs, part by part: the trunk of all tasks, each task alone with it, and all in company."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mtvit_core.deploy.graph.capture import capture
from mtvit_core.deploy.graph.decoded import DecodedModel
from mtvit_core.deploy.graph.files import ENDINGS, Target, write
from mtvit_core.deploy.report.latency import Latency, latency
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.sharing.shares import gflops

#: Name of the row without tasks.
TRUNK = "backbone"
#: Makes a model with some of the tasks.
Build = Callable[[list[str]], MultiTaskViT]


@dataclass(frozen=True)
class Price:
    """What a pass of one image costs.

    Attributes:
        tasks: Tasks of the model; none for the backbone alone.
        passes: Passes through the backbone, see ``Backbone.passes``.
        parameters: Weights of backbone and tasks.
        gflops: Thousand millions of additions and multiplications, two for a product of two numbers added.
        weights_mb: Megabytes of weights in memory.
        peak_mb: Most megabytes of a pass on a GPU; None on a CPU, which does not tell.
        ms: Latency by runtime, decoding on the canvas included.
    """

    tasks: tuple[str, ...]
    passes: int
    parameters: int
    gflops: float
    weights_mb: float
    peak_mb: float | None
    ms: Mapping[str, Latency]


def prices(
    build: Build, names: list[str], device: torch.device, passes: int, targets: tuple[Target, ...], at: Path
) -> list[Price]:
    """Return the price of the backbone, of every task beside it, and of all tasks.

    Args:
        build: Makes the model with some tasks.
        names: All of them.
        device: Where torch runs.
        passes: Passes that are timed.
        targets: Kinds of file to export each model to and to time as well; takes minutes.
        at: Folder for these files.
    """
    sets: list[list[str]] = [[], *[[name] for name in names], *([names] if len(names) > 1 else [])]
    found = []
    for chosen in sets:
        model = build(chosen).to(device).eval()
        price = _price(model, chosen, passes)
        for target in targets if chosen else ():
            price = replace(price, ms={**price.ms, target: _exported(model, target, at, passes)})
        found.append(price)
    return found


class _Trunk(nn.Module):
    """The backbone alone."""

    def __init__(self, model: MultiTaskViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.features(images).last.patches


def pass_latency(model: MultiTaskViT, passes: int) -> Latency:
    """Time a pass of one image in torch, decoding on the canvas included.

    Args:
        model: A model with tasks, on the device to use; of two views, the first counts.
        passes: Passes that are timed.
    """
    graph, images = _graph(model)
    return _timed(model, graph, images, passes)


def _graph(model: MultiTaskViT) -> tuple[nn.Module, Tensor]:
    """Return what is timed, and one image for it."""
    view = model.views[0] if model.views else "image"
    graph = DecodedModel(model, view).eval() if model.task_list else _Trunk(model).eval()
    return graph, torch.zeros(1, 3, *model.canvases[view], dtype=torch.uint8, device=model.device)


def _timed(model: MultiTaskViT, graph: nn.Module, images: Tensor, passes: int) -> Latency:
    def run() -> None:
        graph(images)
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    with evaluating(model):
        return latency(run, passes)


def _price(model: MultiTaskViT, names: list[str], passes: int) -> Price:
    graph, images = _graph(model)
    shown = model.of_view(model.views[0]) if model.views else ()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    with evaluating(model):
        count = gflops(lambda: graph(images))
    cuda = model.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    ms = _timed(model, graph, images, passes)
    return Price(
        tasks=tuple(names),
        passes=len(model.backbone.passes([task.name for task in shown])),
        parameters=sum(p.numel() for p in model.parameters()),
        gflops=count,
        weights_mb=weights / 1e6,
        peak_mb=torch.cuda.max_memory_allocated() / 1e6 if cuda else None,
        ms={"torch": ms},
    )


def _exported(model: MultiTaskViT, target: Target, at: Path, passes: int) -> Latency:
    captured = capture(model, model.views[0])
    file = at / f"{'-'.join(captured.header.outputs)}{ENDINGS[target]}"
    write(captured, target, file)
    session = open_session(file)
    blank = torch.zeros(1, 3, *captured.header.canvas, dtype=torch.uint8).numpy()
    return latency(lambda: session.run(blank), passes)
