"""The leading part of a full tensor: small networks lie in large ones (Chen et al. 2021, AutoFormer).

W = W_full[:o, :i]
a fused W of queries, keys and values is laid (3, heads, head_dim, C): its first heads are the first rows
of each of three parts
"""

from collections.abc import Sequence

from torch import Tensor


def leading(full: Tensor, shape: Sequence[int], parts: int = 1) -> Tensor:
    """Return the leading part of a tensor, through which gradients flow.

    Args:
        full: The full tensor.
        shape: Shape of what is wanted, no axis longer than that of ``full``.
        parts: Equal parts that the first axis packs, each of which is cut.

    Returns:
        A view; of packed parts that are cut, a copy.
    """
    if tuple(full.shape) == tuple(shape):
        return full
    cut = full
    for axis, size in enumerate(shape[1:], start=1):
        cut = cut.narrow(axis, 0, size)
    if not shape or shape[0] == full.shape[0]:
        return cut
    if parts == 1:
        return cut.narrow(0, 0, shape[0])
    return cut.unflatten(0, (parts, -1)).narrow(1, 0, shape[0] // parts).flatten(0, 1)  # type: ignore[no-untyped-call, no-any-return]  # torch leaves unflatten untyped
