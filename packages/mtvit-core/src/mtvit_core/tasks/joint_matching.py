"""One assignment for several tasks: their costs are summed object by object, their matches shares of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.matching import Match


@dataclass(frozen=True)
class Share:
    """What one task brings to a common assignment.

    Attributes:
        cost: Of giving each of its targets to each query.
        depths: Depth of each supervised layer.
        objects: Row of each target in the annotations of its image, on the CPU; any number in padding.
        counts: Number of targets of each image.
    """

    cost: Float[Tensor, "L B Q M"]
    depths: Sequence[int]
    objects: Int64[Tensor, "B M"]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SharedCost:
    """Costs of several tasks in one tensor.

    Attributes:
        cost: Sum over the tasks that have an object among their targets; slots past an image's count are
            padding.
        counts: Number of objects of each image.
        depths: Depth of each layer.
        slots: Place of each task's targets among the objects; past the last one in padding.
    """

    cost: Float[Tensor, "L B Q M"]
    counts: tuple[int, ...]
    depths: tuple[int, ...]
    slots: Mapping[str, Int64[Tensor, "B M2"]]

    def of(self, task: str, match: Match, depths: Sequence[int]) -> Match:
        """Return a task's share of the common assignment.

        Args:
            task: Its name.
            match: Of this cost.
            depths: Those of the task's layers.
        """
        rows = [self.depths.index(depth) for depth in depths]
        slots = self.slots[task].to(match.query.device).expand(len(rows), -1, -1)
        # One more column, without a match, for the padding of the task.
        query, matched = F.pad(match.query[rows], (0, 1)), F.pad(match.matched[rows], (0, 1))
        return Match(query.gather(2, slots), matched.gather(2, slots))


def sum_costs(shares: Mapping[str, Share]) -> SharedCost:
    """Sum the costs of several tasks over the objects that any of them has.

    Args:
        shares: By task; all of one batch and one set of queries.
    """
    real = {
        name: torch.arange(share.objects.shape[1]) < torch.tensor(share.counts)[:, None]
        for name, share in shares.items()
    }
    rows = {name: torch.where(real[name], share.objects, -1) for name, share in shares.items()}
    most = max((int(own.max()) + 1 for own in rows.values() if own.numel()), default=0)
    images = len(next(iter(shares.values())).counts)
    there = torch.zeros(images, most + 1, dtype=torch.int64)  # the last column is that of padding
    for own in rows.values():
        there.scatter_(1, own % (most + 1), 1)
    there[:, most] = 0
    counts = there.sum(1)
    objects = int(counts.max()) if images else 0
    place = torch.where(there > 0, there.cumsum(1) - 1, objects)
    slots = {name: place.gather(1, own % (most + 1)) for name, own in rows.items()}
    depths = tuple(sorted({depth for share in shares.values() for depth in share.depths}))
    first = next(iter(shares.values())).cost
    total = first.new_zeros(len(depths), images, first.shape[2], objects + 1)
    for name, share in shares.items():
        index = slots[name].to(total.device)[None, :, None].expand_as(share.cost)
        added = torch.zeros_like(total[: len(share.depths)]).scatter_add_(
            3, index, share.cost.to(total.dtype)
        )
        total[[depths.index(depth) for depth in share.depths]] += added
    return SharedCost(total[..., :objects], tuple(counts.tolist()), depths, slots)
