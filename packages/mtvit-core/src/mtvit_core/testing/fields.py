"""The tensors of a dataclass beside the shapes that it declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from jaxtyping import AbstractArray
from torch import Tensor

from mtvit_core.testing.breach import Breach

_HOW = 'annotate it as in `logits: Float[Tensor, "L B Q C"]`, with the letters of mtvit_core.axes'


@dataclass(frozen=True)
class Field:
    """One tensor of a dataclass.

    Attributes:
        name: Where it stands, such as ``predictions.pick.logits``.
        value: The tensor.
        axes: Names of its axes as declared.
    """

    name: str
    value: Tensor
    axes: tuple[str, ...]

    def place(self, letter: str) -> int | None:
        """Return which axis has this name, counted from the end; None where there is none."""
        return self.axes.index(letter) - len(self.axes) if letter in self.axes else None

    def narrow(self, letter: str, start: int, length: int) -> "Field":
        """Return a part along one axis; the field itself where it has no such axis."""
        place = self.place(letter)
        if place is None:
            return self
        return Field(self.name, self.value.narrow(place, start, length), self.axes)


def tensor_fields(holder: object, name: str, images: int) -> list[Field]:
    """Return all tensors of a dataclass and of the dataclasses in it.

    Args:
        holder: What a head or ``targets`` returned.
        name: What to call it in messages.
        images: Number of images, the size of every axis B.

    Raises:
        Breach: it is no frozen dataclass, or a tensor is not as declared.
    """
    if not is_dataclass(holder) or isinstance(holder, type):
        raise Breach(
            f"{name} is a {type(holder).__name__}, not a dataclass",
            "return a frozen dataclass with one field per tensor",
        )
    if not type(holder).__dataclass_params__.frozen:  # type: ignore[attr-defined]  # typeshed does not list it
        raise Breach(
            f"{name} is a {type(holder).__name__}, a dataclass that can be changed",
            "write @dataclass(frozen=True), so that no task can change what another one reads",
        )
    return list(_walk(holder, name, images))


def _walk(holder: Any, name: str, images: int) -> Iterator[Field]:
    hints = get_type_hints(type(holder))
    sizes: dict[str, int] = {"B": images}
    nested = []
    for field in fields(holder):
        value, hint = getattr(holder, field.name), hints[field.name]
        if isinstance(value, Tensor):
            yield _checked(f"{name}.{field.name}", value, hint, sizes)
        elif is_dataclass(value) and not isinstance(value, type):
            nested.append((value, f"{name}.{field.name}"))
        elif isinstance(value, Mapping | list | tuple):
            _refuse_hidden(f"{name}.{field.name}", value)
    for value, path in nested:
        yield from _walk(value, path, images)


def _checked(name: str, value: Tensor, hint: Any, sizes: dict[str, int]) -> Field:
    """Return the field if it is as declared; axes of one letter then have one size in the whole dataclass."""
    shapes = [kind for kind in (hint, *get_args(hint)) if _is_shape(kind)]
    if not shapes:
        raise Breach(f"{name} is a tensor, but no shape is declared for it", _HOW)
    for shape in shapes:
        axes = tuple(shape.dim_str.split())
        own = _sizes(axes, value)
        if isinstance(value, shape) and all(sizes.get(axis, size) == size for axis, size in own.items()):
            sizes.update(own)
            return Field(name, value, tuple(axis.lstrip("#?") for axis in axes))
    declared = " or ".join(shape.__name__ for shape in shapes)
    known = ", ".join(f"{axis} = {size}" for axis, size in sizes.items())
    raise Breach(
        f"{name} is {str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}, but declared as "
        f"{declared}, where {known}",
        "correct the tensor, or its annotation",
    )


def _sizes(axes: tuple[str, ...], value: Tensor) -> dict[str, int]:
    """Sizes of the axes that have a plain name, on both sides of one that stands for any number of axes."""
    many = next((i for i, axis in enumerate(axes) if axis.startswith("*") or axis == "..."), len(axes))
    left = zip(axes[:many], value.shape, strict=False)
    right = zip(reversed(axes[many + 1 :]), reversed(value.shape), strict=False)
    return {axis: size for axis, size in (*left, *right) if axis.isidentifier() and axis[0] != "_"}


def _is_shape(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, AbstractArray)


def _refuse_hidden(name: str, values: Any) -> None:
    inner = values.values() if isinstance(values, Mapping) else values
    if any(isinstance(value, Tensor) for value in inner):
        raise Breach(
            f"{name} is a {type(values).__name__} that holds tensors, whose shapes nothing declares",
            "give each tensor a field of its own",
        )
