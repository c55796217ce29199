"""Nested state as tensors and plain data, for safetensors and JSON: nothing in them can execute.

What JSON lacks stands as an object: {"tensor": path}, {"tuple": [...]}, {"set": [...]}. A tensor that is
shared out over processes is {"tensor": path, "rows": [...]}: the row at which the part of each begins, and
the number of all rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor

from mtvit_train.state.shards import bounds, own
from mtvit_train.state.stored_tensors import Stored


def split(tree: Mapping[str, Any], *, leads: bool = True) -> tuple[dict[str, Tensor], Any]:
    """Take a nested state apart.

    Args:
        tree: Mappings, lists, tuples and frozen sets of tensors, numbers, texts, booleans and None.
        leads: Whether to take the tensors that are not shared out; of others, this process's part is taken.

    Returns:
        The tensors by their path, contiguous on the CPU, as safetensors wants them; and the same nesting for
        JSON, in which keys are text.
    """
    tensors: dict[str, Tensor] = {}
    plain = _split(tree, "", tensors)
    return _apart(
        {path: value for path, value in tensors.items() if leads or isinstance(value, DTensor)}
    ), plain


def _split(branch: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(branch, Tensor):
        tensors[path] = branch.detach()
        if isinstance(branch, DTensor):
            return {"tensor": path, "rows": bounds(branch.shape[0], branch.device_mesh.size())}
        return {"tensor": path}
    if isinstance(branch, Mapping):
        return {
            str(key): _split(value, f"{path}.{key}".lstrip("."), tensors) for key, value in branch.items()
        }
    if isinstance(branch, frozenset):
        return {"set": sorted(branch)}
    if isinstance(branch, list | tuple):
        found = [_split(value, f"{path}.{place}", tensors) for place, value in enumerate(branch)]
        return {"tuple": found} if isinstance(branch, tuple) else found
    return branch


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what this process holds of tensors; none shares its memory with another one."""
    found: dict[str, Tensor] = {}
    memories: set[int] = set()
    for path, tensor in tensors.items():
        value = own(tensor).cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        found[path] = value.clone() if memory in memories else value
        memories.add(memory)
    return found


def join(plain: Any, tensor: Callable[[str, Sequence[int]], Any]) -> Any:
    """Put together what ``split`` took apart; keys stay text.

    Args:
        plain: The nesting.
        tensor: Given the path of a tensor and its rows, empty where it is whole; returns what to put there.
    """
    if isinstance(plain, list):
        return [join(value, tensor) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if plain.keys() in ({"tensor"}, {"tensor", "rows"}):
        return tensor(plain["tensor"], plain.get("rows", ()))
    if plain.keys() == {"set"}:
        return frozenset(plain["set"])
    if plain.keys() == {"tuple"}:
        return tuple(join(value, tensor) for value in plain["tuple"])
    return {key: join(value, tensor) for key, value in plain.items()}


def read(tree: Any) -> Any:
    """Return nested state with all tensors that are in files read, whole."""
    if isinstance(tree, Stored):
        return tree[...]
    if isinstance(tree, Mapping):
        return {key: read(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(read(value) for value in tree)
    return tree
