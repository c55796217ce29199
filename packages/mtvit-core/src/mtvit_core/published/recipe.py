"""How one tensor of ours is made of tensors of a source; shapes are known before any is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """One tensor of ours.

    Attributes:
        keys: The tensors of the source that it is made of.
        shapes: Their shapes, given the shape of ours.
        make: Makes ours of them.
    """

    keys: tuple[str, ...]
    shapes: Callable[[Shape], Sequence[Shape]]
    make: Callable[[Sequence[Tensor]], Tensor]


def copied(key: str) -> Recipe:
    """The same tensor under another key."""
    return Recipe((key,), lambda own: [own], lambda parts: parts[0])


def stacked(*keys: str) -> Recipe:
    """Equal parts, one below the other, as q, k and v in a fused projection."""
    if len(keys) == 1:
        return copied(keys[0])
    return Recipe(
        keys, lambda own: [(own[0] // len(keys), *own[1:])] * len(keys), lambda parts: torch.cat([*parts])
    )


def reshaped(key: str, shape: Callable[[Shape], Shape]) -> Recipe:
    """The same numbers in another shape.

    Args:
        key: The source's tensor.
        shape: Its shape, given the shape of ours; the numbers stay in order.
    """

    def make(parts: Sequence[Tensor]) -> Tensor:
        return parts[0].reshape(-1)

    return Recipe((key,), lambda own: [shape(own)], make)


def on_base(recipe: Recipe, base: Callable[[str], str]) -> Recipe:
    """The same of a source that holds differences: each part is added to base weights first.

    Args:
        recipe: What to do with whole weights.
        base: Key of the base weights of each key.
    """
    count = len(recipe.keys)

    def make(parts: Sequence[Tensor]) -> Tensor:
        return recipe.make([a + b for a, b in zip(parts[:count], parts[count:], strict=True)])

    keys = (*recipe.keys, *map(base, recipe.keys))
    return Recipe(keys, lambda own: [*recipe.shapes(own)] * 2, make)


def layer(own: str, *theirs: str, bias: bool = True) -> dict[str, Recipe]:
    """Recipes for weight and bias of a layer; of several layers, those of one over the other.

    Args:
        own: Path of our layer.
        theirs: Paths of the source's.
        bias: Whether there is one.
    """
    kinds = ("weight", "bias") if bias else ("weight",)
    return {f"{own}.{kind}": stacked(*(f"{path}.{kind}" for path in theirs)) for kind in kinds}
