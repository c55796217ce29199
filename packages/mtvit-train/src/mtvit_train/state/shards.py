"""Parts of tensors that are shared out over processes: each holds some rows, in the order of the processes.

The n rows of a tensor are shared out over w processes as torch.chunk and FSDP2 do: ceil(n / w) to each, as
long as there are any.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from mtvit_train.state.stored_tensors import Stored

#: A tensor here, whole or shared out, or one in files.
AnyTensor: TypeAlias = Tensor | Stored


def bounds(rows: int, world: int) -> list[int]:
    """Return the row at which the part of each process begins, and the number of all rows.

    Args:
        rows: Of the whole tensor.
        world: Number of processes.
    """
    size = -(-rows // world)
    return [min(rank * size, rows) for rank in range(world)] + [rows]


def own(value: Tensor) -> Tensor:
    """Return what this process holds of a tensor, in the same memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Tensor) -> Tensor:
    """Return a tensor that is not shared out; all processes have to call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def gathered(tree: Any) -> Any:
    """Return nested state in which no tensor is shared out; all processes have to call it.

    Args:
        tree: Mappings, lists and tuples of tensors and plain data; what is shared out comes to the CPU.
    """
    if isinstance(tree, DTensor):  # one at a time: a GPU may have no room for all
        return tree.full_tensor().cpu()
    if isinstance(tree, Mapping):
        return {key: gathered(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(gathered(value) for value in tree)
    return tree


def part(value: AnyTensor, like: Tensor | None) -> Tensor:
    """Return the part of a tensor that this process has of ``like``.

    Args:
        value: Of one in files, no other rows are read.
        like: Says how it is shared out, and where it is. Where that is whole or of another shape, the tensor
            is returned whole.
    """
    if isinstance(value, DTensor) or not isinstance(like, DTensor) or value.shape != like.shape:
        return value[...] if isinstance(value, Stored) else value
    mesh, shape = like.device_mesh, like.shape
    begin, end = bounds(shape[0], mesh.size())[mesh.get_local_rank() :][:2]
    rows = value[begin:end].to(like.device, copy=True)  # no window on the whole, which is to go
    return DTensor.from_local(rows, mesh, like.placements, run_check=False, shape=shape, stride=like.stride())


def parts_of_weights(state: Mapping[str, AnyTensor], module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a module as this process holds it."""
    like = module.state_dict()
    return {name: part(value, like.get(name)) for name, value in state.items()}


def parts_of_entry(entry: Mapping[str, AnyTensor], like: Tensor) -> dict[str, Tensor]:
    """Return an optimiser's state of one parameter as this process holds it."""
    return {name: part(value, like) for name, value in entry.items()}


@torch.no_grad()
def fill(tensors: Mapping[str, Tensor], state: Mapping[str, AnyTensor]) -> None:
    """Give tensors the values that a state has for them, one at a time.

    Raises:
        KeyError: it has none.
    """
    for name, ours in tensors.items():
        own(ours).copy_(own(part(state[name], ours)))
