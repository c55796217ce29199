"""Nested state as tensors and plain data, for safetensors and JSON: nothing in them can execute.

What JSON lacks stands as an object with one key: {"tensor": path}, {"tuple": [...]}, {"set": [...]}.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def split(tree: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Take a nested state apart.

    Args:
        tree: Mappings, lists, tuples and frozen sets of tensors, numbers, texts, booleans and None.

    Returns:
        The tensors by their path, contiguous on the CPU; and the same nesting for JSON, in which keys are
        text.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _split(tree, "", tensors)


def _split(part: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(part, Tensor):
        tensors[path] = _whole(part.detach().cpu())
        return {"tensor": path}
    if isinstance(part, Mapping):
        return {str(key): _split(value, f"{path}.{key}".lstrip("."), tensors) for key, value in part.items()}
    if isinstance(part, frozenset):
        return {"set": sorted(part)}
    if isinstance(part, list | tuple):
        found = [_split(value, f"{path}.{place}", tensors) for place, value in enumerate(part)]
        return {"tuple": found} if isinstance(part, tuple) else found
    return part


def _whole(tensor: Tensor) -> Tensor:
    """Return a tensor that shares its memory with no other one, as safetensors asks."""
    alone = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor.contiguous() if alone else tensor.contiguous().clone()


def join(tensors: Mapping[str, Tensor], plain: Any) -> Any:
    """Put together what ``split`` took apart; keys stay text.

    Raises:
        KeyError: a tensor is missing.
    """
    if isinstance(plain, list):
        return [join(tensors, value) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if plain.keys() == {"tensor"}:
        return tensors[plain["tensor"]].clone()  # what was read may be a window on the file
    if plain.keys() == {"set"}:
        return frozenset(plain["set"])
    if plain.keys() == {"tuple"}:
        return tuple(join(tensors, value) for value in plain["tuple"])
    return {key: join(tensors, value) for key, value in plain.items()}
