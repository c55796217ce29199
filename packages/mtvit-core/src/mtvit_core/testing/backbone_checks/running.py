"""Checks of the ways in which blocks are run: compiled, exported, recomputed, in bfloat16, and in shares."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import jaxtyping
import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from mtvit_core.backbones.interface import Backbone
from mtvit_core.deploy.program import TensorsOnly, export
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.backbone_case import EQUAL, BackboneCase, learned, require_same, tensors
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import explained
from mtvit_core.testing.example import CATEGORIES
from mtvit_core.testing.probe_task import Probe, ProbeConfig


@torch.no_grad()
def compiling(case: BackboneCase) -> None:
    """`compile_blocks` has blocks traced by torch.compile, and they then give the same."""
    backbone, images = case.stirred(), case.images()
    group = learned(backbone, "a")
    expected, traced = tensors(backbone(images, [group])), []

    def trace(graph: Any, inputs: Any) -> Any:
        traced.append(graph)
        return graph.forward

    torch.compiler.reset()
    checked = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)  # torch cannot trace checks of shapes
    try:
        # The graphs are run as they are: machine code of them is torch's part, and takes a minute.
        with mock.patch.object(torch, "compile", partial(torch.compile, backend=trace)):
            backbone.compile_blocks()
        with explained("running compiled blocks", "leave out what torch.compile cannot trace"):
            found = tensors(backbone(images, [group]))
    finally:
        jaxtyping.config.update("jaxtyping_disable", checked)
        torch.compiler.reset()
    if not traced:
        raise Breach(
            "nothing is traced after compile_blocks()", "run blocks by what compile_blocks has compiled"
        )
    require_same(
        expected, found, EQUAL, "once blocks are compiled", "read no global that compilation freezes"
    )


@torch.no_grad()
def exporting(case: BackboneCase) -> None:
    """torch.export follows a model with the backbone, and the program gives the same."""
    model = MultiTaskViT(case.stirred(), [Probe(ProbeConfig(enter=0), CATEGORIES)], CATEGORIES)
    images = case.images()
    with explained("torch.export", "make the pass of tensor operations alone"):
        program = export(model.eval(), "image", len(images)).module()
    require_same(
        TensorsOnly(model, "image")(images),
        program(images),
        EQUAL,
        "in the exported program",
        "let no Python value of one image decide what is computed",
    )


@torch.no_grad()
def precision(case: BackboneCase) -> None:
    """With `precision` bfloat16 products are made in it, and what is read keeps the type of the weights."""
    backbone, images = case.stirred(), case.images()
    group = learned(backbone, "a")
    expected = tensors(backbone(images, [group]))
    backbone.precision = torch.bfloat16
    found = tensors(backbone(images, [group]))
    for name, value in found.items():
        if value.dtype != expected[name].dtype:
            raise Breach(f"{name} are {value.dtype}", "read tokens in the type of the weights")
    if all(torch.equal(value, found[name]) for name, value in expected.items()):
        raise Breach(
            "precision changes nothing",
            "run embedding and blocks within `with self.autocast()`, as said there",
        )


def checkpointing(case: BackboneCase) -> None:
    """With `checkpointing` a pass in training keeps less memory for its gradients, which are the same."""
    plain, plain_bytes = _gradients(case, checkpointing=False)
    found, kept_bytes = _gradients(case, checkpointing=True)
    require_same(
        plain,
        found,
        EQUAL,
        "with checkpointing",
        "run blocks by self.recomputed(...), which draws the same random numbers again",
    )
    if kept_bytes >= plain_bytes:
        raise Breach(
            f"a pass keeps {kept_bytes} bytes for gradients with checkpointing, and {plain_bytes} without",
            "run blocks by self.recomputed(...)",
        )


def _gradients(case: BackboneCase, checkpointing: bool) -> tuple[dict[str, Tensor], int]:
    """Gradients of a loss, and the bytes that were kept for them."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    backbone = case.stirred().train()
    backbone.checkpointing = checkpointing
    group = learned(backbone, "a")
    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        found = backbone(case.images(), [group]).last
    _backward(found.patches.square().mean() + found.queries["a"].square().mean())
    gradients = {f"the gradient of {n}": p.grad for n, p in backbone.named_parameters() if p.grad is not None}
    return gradients, sum(kept.values())


def _backward(loss: Tensor) -> None:
    backward: Callable[[], None] = loss.backward
    backward()


def sharding(case: BackboneCase) -> None:
    """Each block can be wrapped by FSDP around the method that runs it; outputs and gradients stay."""
    images, whole, parts = case.images(), case.stirred(), case.stirred()
    expected = _outputs_and_gradients(whole, images)
    with _one_process():
        mesh = init_device_mesh("cpu", (1,))
        for block in parts.blocks():
            fully_shard(block, mesh=mesh)
            if parts.block_method != "forward":
                register_fsdp_forward_method(block, parts.block_method)
        with explained(
            "a pass of sharded blocks",
            "run each block by calling it, or by the method that block_method names",
        ):
            found = _outputs_and_gradients(parts, images)
    require_same(
        expected, found, EQUAL, "with sharded blocks", "read a block's weights only while the block is run"
    )


def _outputs_and_gradients(backbone: Backbone, images: Tensor) -> dict[str, Tensor]:
    found = tensors(backbone(images))
    _backward(torch.stack([value.square().mean() for value in found.values() if value.numel()]).sum())
    for name, weight in backbone.named_parameters():
        gradient = weight.grad
        if gradient is not None:
            found[f"the gradient of {name}"] = (
                gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
            )
    return {name: value.detach() for name, value in found.items()}


@contextmanager
def _one_process() -> Iterator[None]:
    """A group of this process alone, where there is none."""
    if distributed.is_initialized():
        yield
        return
    store = distributed.HashStore()  # type: ignore[attr-defined]  # torch leaves it out of its list
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()
