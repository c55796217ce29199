"""Weights by key: how the keys and shapes of two models differ, and what they are before one is built."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtvit_core.errors import CheckpointError, MtvitError


def check_depth(options: Mapping[str, Any], weights: int, where: str) -> None:
    """Refuse a backbone of more blocks than there are weights: to build millions takes hours.

    Args:
        options: What the backbone is to be made with.
        weights: Tensors of the file beside it.
        where: What states the options, for the message.

    Raises:
        CheckpointError: naming the option.
    """
    for name in ("depth", "depths", "stages"):
        counts = options.get(name, 0)
        for count in counts if isinstance(counts, list) else [counts]:
            if isinstance(count, int) and count > weights:
                raise CheckpointError(
                    f"{where} asks for a backbone of {name} = {count}, but there are {weights} weights; "
                    "fetch or write it again."
                )


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights that building gives, without memory for them.

    So the sizes that a damaged or hostile file states are compared with the weights that it holds, before
    they take all memory of the machine.

    Args:
        build: Makes the model.

    Returns:
        Shapes by key; none where something computes with real numbers while it is built.

    Raises:
        MtvitError: building refuses.
    """
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return {key: tuple(value.shape) for key, value in build().state_dict().items()}
    except MtvitError as error:
        if isinstance(error.__cause__, NotImplementedError | RuntimeError):  # of a family of backbones
            return {}
        raise
    except (NotImplementedError, RuntimeError):
        return {}


#: What wrappers and training scripts put before the keys of the model that they hold.
WRAPPERS = ("module.", "model.", "teacher.", "student.", "backbone.")


def common_prefix(keys: Iterable[str]) -> str:
    """Return what wrappers put before all of some keys, such as ``module.backbone.``; mostly nothing."""
    names, prefix = list(keys), ""
    while names:
        wrapper = next((w for w in WRAPPERS if all(n.startswith(w) and n != w for n in names)), None)
        if wrapper is None:
            break
        names, prefix = [name.removeprefix(wrapper) for name in names], prefix + wrapper
    return prefix


def differences(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say in words how weights found differ from a model's own: keys and shapes, the first three each."""
    reshaped = [k for k in own if k in found and own[k].shape != found[k].shape]
    shapes = [f"{k} is {tuple(found[k].shape)} instead of {tuple(own[k].shape)}" for k in reshaped]
    missing, unexpected = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    return listed({"missing": missing, "unexpected": unexpected, "of another shape": shapes}, most=3)


def listed(problems: Mapping[str, Sequence[str]], most: int) -> str:
    """Say in words which keys have which problem, at most so many of each; empty where there is none."""
    words = []
    for what, keys in problems.items():
        if keys:
            more = f" and {len(keys) - most} more" if len(keys) > most else ""
            words.append(f"{what}: {', '.join(keys[:most])}{more}")
    return "; ".join(words)
