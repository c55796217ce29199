"""Random numbers of a loss or a head that belong to an image, not to the process or the pass that sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch


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
