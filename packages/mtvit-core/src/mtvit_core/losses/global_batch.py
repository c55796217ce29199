"""Divisors of losses: the same loss, however a batch is shared out over processes and passes.

A term that is a sum over the batch divided by a count of the batch is the mean over its R shares of

    S_r / c,  c = max(least, N_1 + ... + N_R) / R

and processes that average their gradients, or passes that do, compute exactly that mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, distributed

from mtvit_core.errors import PluginError


class _Share(NamedTuple):
    """Share ``place`` of so many equal ``shares`` of a batch, and the numbers that all shares draw alike."""

    place: int
    shares: int
    source: torch.Generator


_SHARE: ContextVar[_Share | None] = ContextVar("share", default=None)


@contextmanager
def sharing(place: int, shares: int, seed: int) -> Iterator[None]:
    """Say which share of a batch is seen inside, so that its images draw the numbers of the whole batch.

    Args:
        place: Place of the share among those of the batch.
        shares: Shares of the batch, which hold equally many images.
        seed: The same for all shares of a batch, another one for the next batch.
    """
    token = _SHARE.set(_Share(place, shares, torch.Generator().manual_seed(seed)))
    try:
        yield
    finally:
        _SHARE.reset(token)


def image_generators(images: int, device: torch.device) -> list[torch.Generator | None]:
    """Return a source of random numbers for each image of this share.

    The k-th call of every share gives an image the same source as the k-th call for the whole batch would.

    Args:
        images: Images of this share.
        device: Where the numbers are drawn.

    Returns:
        What torch takes as ``generator``; outside of ``sharing`` None, torch's own generator.
    """
    share = _SHARE.get()
    if share is None:
        return [None] * images
    place, shares, source = share
    seeds = torch.randint(2**62, (shares * images,), generator=source)[place * images : (place + 1) * images]
    return [torch.Generator(device).manual_seed(seed) for seed in seeds.tolist()]


def shared_count(local: Tensor, least: float = 1.0) -> Tensor:
    """Return what a sum over this share of the batch is to be divided by.

    Every share has to ask for the same counts in the same order, whatever it holds: processes wait for each
    other here. Without processes and passes it is the count itself, at least ``least``.

    Args:
        local: What this share counts: objects, labelled images, weights; of any shape, without gradient.
        least: Smallest count of the whole batch, against dividing by zero.

    Returns:
        As floating point, of the same shape.

    Raises:
        PluginError: the passes of one batch asked for different counts.
    """
    own = local.detach() if local.is_floating_point() else local.detach().float()
    counts = _COUNTS.get()
    if counts is not None:
        return counts.take(own, least)
    if distributed.is_available() and distributed.is_initialized():
        own = own.clone()
        distributed.all_reduce(own)
        return own.clamp(min=least) / distributed.get_world_size()
    return own.clamp(min=least)


@dataclass
class Counts:
    """The counts of a batch that is shared out over passes: first added up, then handed out.

    Attributes:
        totals: Sums over all passes, in the order in which they are asked for.
        passes: Passes that have been counted.
    """

    totals: list[Tensor] = field(default_factory=list)
    passes: int = 0
    _shares: int = 0
    _place: int = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Add up what one pass counts; its losses mean nothing, since it divides by its own counts."""
        self._shares = 0
        with self._during():
            yield
        self.passes += 1

    @contextmanager
    def handing_out(self) -> Iterator[None]:
        """Let one pass divide by the counts of the whole batch."""
        self._shares = self.passes
        if distributed.is_available() and distributed.is_initialized():
            self._shares *= distributed.get_world_size()
        with self._during():
            yield

    def add_processes(self) -> None:
        """Add what the other processes have counted: one message for all counts."""
        if self.totals and distributed.is_available() and distributed.is_initialized():
            packed = torch.cat([total.flatten() for total in self.totals])
            distributed.all_reduce(packed)
            parts = torch.split(packed, [total.numel() for total in self.totals])
            self.totals = [part.view_as(total) for part, total in zip(parts, self.totals, strict=True)]

    def take(self, local: Tensor, least: float) -> Tensor:
        """Return the next count of a pass."""
        place, self._place = self._place, self._place + 1
        if self._shares:
            if place >= len(self.totals):
                raise PluginError(_uneven(len(self.totals), place + 1))
            return self.totals[place].clamp(min=least) / self._shares
        if not self.passes:
            self.totals.append(local)
        elif place < len(self.totals):
            self.totals[place] = self.totals[place] + local
        return local.clamp(min=least)

    @contextmanager
    def _during(self) -> Iterator[None]:
        self._place = 0
        token = _COUNTS.set(self)
        try:
            yield
        finally:
            _COUNTS.reset(token)
        if self._place != len(self.totals):
            raise PluginError(_uneven(len(self.totals), self._place))


_COUNTS: ContextVar[Counts | None] = ContextVar("counts", default=None)


def _uneven(first: int, other: int) -> str:
    return (
        f"loss: shared_count was called {first} times in one pass of a batch and {other} times in another; "
        "call it before any return or branch that depends on what a batch holds."
    )
