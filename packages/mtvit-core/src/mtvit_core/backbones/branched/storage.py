"""How many parameters gates store, and gates within a limit.

P = rest + sum over layers |W| (1[any task shares it] + number of tasks that own a copy)

A budget is a factor on the parameters of the plain backbone, where every task shares everything.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.backbones.branched.gates import LINEARS, Gates
from mtvit_core.errors import ConfigError

#: Keeps the stream of random gates apart from others.
_STREAM = 11


def stored(gates: Float[Tensor, "L T 4"], sizes: Int64[Tensor, "L 4"], rest: float) -> Float[Tensor, ""]:
    """Return the parameters P that a backbone stores.

    A shared copy is kept with 1 - prod (1 - g) over the tasks: exact for gates of 0 and 1, and the expected
    number for independent gates between.

    Args:
        gates: By block, task and linear layer: 1 shared, 0 own.
        sizes: Parameters of one copy of each linear layer of these blocks.
        rest: Parameters of the backbone that have no gate.
    """
    own = 1 - gates
    return rest + (sizes * (1 - own.prod(1) + own.sum(1))).sum()


def count(gates: Gates, sizes: Int64[Tensor, "L 4"], rest: int, first: int = 0) -> int:
    """Return the parameters P of fixed gates.

    Args:
        gates: The gates.
        sizes: Parameters of one copy, for blocks from ``first`` on.
        rest: Parameters that have no gate.
        first: The first block with gates.
    """
    return rest + sum(
        int(sizes[block - first, k]) * (len(owners) + (len(owners) < len(gates.tasks)))
        for block in range(first, gates.depth)
        for k, linear in enumerate(LINEARS)
        for owners in [gates.owners(block, linear)]
    )


def within(
    order: Iterable[tuple[str, int, str]],
    limit: float,
    sizes: Int64[Tensor, "L 4"],
    rest: int,
    empty: Gates,
    first: int = 0,
) -> Gates:
    """Own layers in some order, as far as a limit of parameters lets: what does not fit stays shared.

    Args:
        order: Task, block and linear layer.
        limit: Most parameters P.
        sizes: As for ``count``, as all that follow.
        rest: The same.
        empty: Gates of which no task owns anything.
        first: The first block with gates.
    """
    gates = empty
    for layer in order:
        more = Gates(gates.tasks, gates.depth, gates.own | {layer})
        if count(more, sizes, rest, first) <= limit:
            gates = more
    return gates


def random_gates(text: str, empty: Gates, sizes: Int64[Tensor, "L 4"], rest: int, first: int) -> Gates:
    """Return gates drawn within a budget.

    Args:
        text: ``random:BUDGET:SEED``.
        empty: Gates of which no task owns anything.
        sizes: As for ``count``, as all that follow.
        rest: The same.
        first: The same.

    Raises:
        ConfigError: the text cannot be read, or the budget is less than everything shared takes.
    """
    try:
        _, budget, seed = text.split(":")
        factor, stream = float(budget), np.random.default_rng([_STREAM, int(seed)])
    except ValueError:
        factor = 0.0
    if factor < 1:
        raise ConfigError(
            f"gates: {text!r} is no draw; write random:BUDGET:SEED, as 'random:1.5:0', with a budget of at "
            "least 1 times the parameters of the plain backbone."
        )
    every = list(_every(empty, first))
    order = (every[i] for i in stream.permutation(len(every)))
    plain = count(empty, sizes, rest, first)
    return within(order, factor * plain, sizes, rest, empty, first)


def _every(gates: Gates, first: int) -> Iterator[tuple[str, int, str]]:
    for block in range(first, gates.depth):
        for task in gates.tasks:
            yield from ((task, block, linear) for linear in LINEARS)
