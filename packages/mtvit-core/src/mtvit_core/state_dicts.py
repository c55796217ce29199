"""How the keys and shapes of two state dicts differ, in one line."""

from collections.abc import Mapping, Sequence

from torch import Tensor


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
