"""Context tokens that are known before a pass: what frozen blocks make of images that were seen before.

Queries enter late, and nothing sees isolated ones, so the context before a block depends on the image and on
the blocks below alone. Joint queries are seen: from where they enter, the context is known no more.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from mtvit_core.backbones.tokens import TokenGroup

#: Prefix and patch tokens at the input of some blocks, before any norm; the number of blocks is the output.
KnownContext = Mapping[int, Float[Tensor, "B S D"]]
NOTHING_KNOWN: KnownContext = {}


def known_depths(
    groups: Sequence[TokenGroup], depth: int, frozen: int, patches: bool, inner: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the depths at which the context has to be known for the frozen blocks not to be run on it.

    Args:
        groups: Token groups of the pass.
        depth: Number of blocks.
        frozen: How many of the first blocks are frozen.
        patches: Whether anybody reads the context at the output.
        inner: Depths below the output whose patches are read.
    """
    stop = min([frozen, *(group.enter for group in groups if group.visibility == "joint")])
    entry = min([stop, *(group.enter for group in groups)])
    read = {
        layer for layers in (inner, *(group.layers for group in groups)) for layer in layers if layer < stop
    }
    wanted = {*read, *range(entry, stop), stop}
    return tuple(sorted(wanted if patches or stop < depth else wanted - {depth}))
