"""Small sources of picked queries, and the context that they pick from."""

import torch

from mtvit_core.backbones.tokens import Context, Entry, Pick
from mtvit_core.heads.proposals import PickedQueries

WIDTH, CLASSES = 16, 5
GRID = (6, 8)
PATCHES = GRID[0] * GRID[1]


def context(images: int = 2) -> Context:
    """Return random patches."""
    return Context(
        torch.randn(images, PATCHES, WIDTH, requires_grad=True), torch.randn(images, 1, WIDTH), GRID
    )


def source(count: int = 10) -> PickedQueries:
    """Return a source whose proposals differ from patch to patch."""
    made = PickedQueries(count, WIDTH, CLASSES)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return made


def entered(made: PickedQueries, given: Context) -> tuple[Entry, Pick]:
    """Return what a source makes, and its proposals."""
    entry: Entry = made(given)
    assert entry.pick is not None
    return entry, entry.pick
