"""Matching of queries to targets: the assignment of least total cost (Carion et al. 2020, eq. 1)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.errors import DivergedError

#: Stands for infinity: above any sum of costs, yet small enough that double precision keeps the others apart.
FORBIDDEN = 1e9


@dataclass(frozen=True)
class Match:
    """Which query answers for which target, per supervised layer and image.

    Attributes:
        query: Query index of each target; 0 where there is none.
        matched: Whether the target exists and got a query; at most Q targets of an image do.
    """

    query: Int64[Tensor, "L B M"]
    matched: Bool[Tensor, "L B M"]

    def gather(self, values: Float[Tensor, "L B Q *any"]) -> Float[Tensor, "L B M *any"]:
        """Pick, for every target, the row of its query; rows of unmatched targets are arbitrary."""
        layers, images, _ = self.query.shape
        layer = torch.arange(layers, device=values.device)[:, None, None]
        image = torch.arange(images, device=values.device)[None, :, None]
        return values[layer, image, self.query]

    def scatter(self, values: Tensor, queries: int, fill: float) -> Tensor:
        """Spread one value per target over the queries; queries without a target get ``fill``.

        Args:
            values: L B M or broadcastable to it, for instance class labels.
            queries: Number of queries Q.
            fill: What unmatched queries get.

        Returns:
            A tensor L B Q of the type of ``values``.
        """
        layers, images, _ = self.query.shape
        spread = values.expand(self.query.shape)
        out = values.new_full((layers, images, queries + 1), fill)
        # Unmatched targets write into one spare column that is cut off.
        index = torch.where(self.matched, self.query, queries)
        return out.scatter_(2, index, spread)[..., :queries]


def match_all(costs: Mapping[str, tuple[Float[Tensor, "..."], tuple[int, ...]]]) -> dict[str, Match]:
    """Solve every assignment of a step with a single copy from the device to the host.

    An infinite cost forbids a pair: a target with no other pair left stays unmatched.

    Args:
        costs: Per name, a cost tensor L B Q M and the number of targets of each image (length B). Columns
            past that number are ignored.

    Returns:
        One match per name, on the device of its costs.

    Raises:
        DivergedError: a cost holds NaN, which has no least assignment.
    """
    if not costs:
        return {}
    flat = torch.cat([cost.detach().flatten().float() for cost, _ in costs.values()]).cpu()
    matches, start = {}, 0
    for name, (cost, counts) in costs.items():
        block = flat[start : start + cost.numel()].view(cost.shape)
        start += cost.numel()
        matches[name] = _match(name, block, counts, cost.device)
    return matches


def _match(name: str, cost: Tensor, counts: tuple[int, ...], device: torch.device) -> Match:
    layers, images, _, targets = cost.shape
    query = torch.zeros(layers, images, targets, dtype=torch.int64)
    matched = torch.zeros(layers, images, targets, dtype=torch.bool)
    for layer in range(layers):
        for image, count in enumerate(counts):
            block = cost[layer, image, :, :count]
            if torch.isnan(block).any():
                raise DivergedError(
                    f"matching of {name!r}: the cost of image {image} of the batch at supervised layer "
                    f"{layer} is NaN; the predictions have diverged. Lower the learning rate or check the "
                    "targets."
                )
            rows, columns = _assign(block)
            query[layer, image, columns] = rows
            matched[layer, image, columns] = block[rows, columns] < torch.inf
    return Match(query.to(device), matched.to(device))


def _assign(cost: Float[Tensor, "Q M"]) -> tuple[Tensor, Tensor]:
    """Queries and targets of the pairs whose costs sum to the least."""
    from scipy.optimize import linear_sum_assignment  # here: most of a second that only training needs

    # The solver wants finite numbers; pairs that cost infinity are dropped afterwards.
    finite = torch.nan_to_num(cost, posinf=FORBIDDEN, neginf=-FORBIDDEN)
    rows, columns = linear_sum_assignment(finite.numpy())
    return torch.from_numpy(rows), torch.from_numpy(columns)
