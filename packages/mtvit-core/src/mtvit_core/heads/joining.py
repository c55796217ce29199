"""What a task wants of queries that are picked from the context, be they its own or shared."""

from dataclasses import dataclass

from mtvit_core.backbones.tokens import Visibility


@dataclass(frozen=True)
class Joining:
    """Picked queries that a task can read.

    Attributes:
        count: Queries Q.
        enter: Index of the block before which they join.
        layers: Depths at which its head reads them, see ``TokenGroup``.
        labels: Categories that it finds, as indices; the columns of its proposals' logits, in this order.
        visibility: Who sees the queries, see ``TokenGroup``.
    """

    count: int
    enter: int
    layers: tuple[int, ...]
    labels: tuple[int, ...]
    visibility: Visibility = "isolated"
