"""A candidate without weights: while it is run, it wears the leading parts of those of the largest network.

So it computes with the code of an ordinary backbone of its shape.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from mtvit_core.backbones.elastic.slicing import leading
from mtvit_core.backbones.interface import Backbone

T = TypeVar("T")
#: Only the largest network is regularised (Yu et al. 2020, BigNAS, section 3.1).
_REGULARISERS = (nn.Dropout, DropPath)
Held = dict[str, Any]


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the skeleton is held, and where the one that it is the leading part of.

    Attributes:
        own: Parameters or buffers of a module of the skeleton.
        full: The same of the largest network.
        key: The tensor's name in both.
        shape: Its shape.
        parts: As ``leading`` takes it.
    """

    own: Held
    full: Held
    key: str
    shape: tuple[int, ...]
    parts: int

    def cut(self) -> Tensor:
        """Return the leading part."""
        return leading(self.full[self.key], self.shape, self.parts)


class Wearing(AbstractContextManager[None]):
    """A context in which the slots hold tensors; it can be entered again, as when blocks are recomputed."""

    def __init__(self, slots: Sequence[Slot], tensors: Sequence[Tensor]) -> None:
        """Keep both."""
        self.slots, self.tensors = slots, tensors
        self.before: list[list[Any]] = []

    def __enter__(self) -> None:
        """Put the tensors in."""
        self.before.append([slot.own[slot.key] for slot in self.slots])
        for slot, tensor in zip(self.slots, self.tensors, strict=True):
            slot.own[slot.key] = tensor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back what was there."""
        for slot, tensor in zip(self.slots, self.before.pop(), strict=True):
            slot.own[slot.key] = tensor


class Skeleton:
    """A candidate, and where its tensors come from; no module, so its empty weights are nobody's."""

    def __init__(self, largest: Backbone, backbone: Backbone) -> None:
        """Find where the tensors of a candidate come from.

        Args:
            largest: The network that all candidates lie in.
            backbone: The candidate; its weights need no memory, see ``empty``.
        """
        self.backbone = backbone
        self.slots = [
            slot for name, own in self.backbone.named_modules() for slot in _slots(largest, name, own)
        ]
        whole = dict(largest.named_modules())
        self.modes = [(own, whole[name]) for name, own in self.backbone.named_modules() if name in whole]

    @classmethod
    def empty(cls, largest: Backbone, make: Callable[[], Backbone]) -> "Skeleton":
        """Build the candidate without memory for its weights, and without random numbers."""
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return cls(largest, make())

    def run(self, like: Backbone, call: Callable[[Backbone], T]) -> T:
        """Run the candidate.

        Args:
            like: Whose precision and checkpointing hold.
            call: Is given the candidate with its weights.
        """
        for own, full in self.modes:
            own.training = full.training and not isinstance(own, _REGULARISERS)
        self.backbone.precision, self.backbone.checkpointing = like.precision, like.checkpointing
        wearing = Wearing(self.slots, [slot.cut() for slot in self.slots])
        self.backbone.recomputing = lambda: wearing
        try:
            with wearing:
                return call(self.backbone)
        finally:
            self.backbone.recomputing = nullcontext

    def fill(self) -> None:
        """Copy the leading parts into weights that the candidate has itself."""
        for slot in self.slots:
            slot.own[slot.key].copy_(slot.cut())


def _slots(largest: Backbone, name: str, own: nn.Module) -> list[Slot]:
    """Tensors that a module holds itself, which the module of that name of the largest holds too."""
    held = [
        (pick, key, tensor)
        for pick in (_parameters, _buffers)
        for key, tensor in pick(own).items()
        if tensor is not None
    ]
    return [
        Slot(
            pick(own),
            pick(largest.get_submodule(name)),
            key,
            tuple(tensor.shape),
            largest.parts_of(f"{name}.{key}".lstrip(".")),
        )
        for pick, key, tensor in held
    ]


def _parameters(module: nn.Module) -> Held:
    return module._parameters


def _buffers(module: nn.Module) -> Held:
    return module._buffers
