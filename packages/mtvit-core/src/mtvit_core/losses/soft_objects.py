"""What a teacher says about the objects of a batch: soft labels in place of annotations."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.backbones.tokens import Pick

#: Probability of its best class from which a teacher's query is an object; below it is background.
TAUGHT_SCORE = 0.1


@dataclass(frozen=True)
class SoftObjects:
    """The teacher's confident queries, best first, padded to the most of one image.

    Attributes:
        probabilities: Of every class; zero in padding.
        boxes: cx cy w h relative to the canvas; zero in padding.
        weight: Probability of the best class; zero in padding.
        query: The teacher's query of each object; 0 in padding.
        counts: Objects of each image.
        pick: The teacher's dense proposals; None where it has none.
    """

    probabilities: Float[Tensor, "B M C"]
    boxes: Float[Tensor, "B M 4"]
    weight: Float[Tensor, "B M"]
    query: Int64[Tensor, "B M"]
    counts: tuple[int, ...]
    pick: Pick | None

    def of_queries(self, values: Float[Tensor, "B Q *any"]) -> Float[Tensor, "B M *any"]:
        """Return what else the teacher says about each object; rows of padding are arbitrary."""
        image = torch.arange(len(self.query), device=values.device)[:, None]
        return values[image, self.query]


@torch.no_grad()
def soft_objects(
    probabilities: Float[Tensor, "B Q C"], boxes: Float[Tensor, "B Q 4"], pick: Pick | None
) -> SoftObjects:
    """Keep the queries whose best class is at least ``TAUGHT_SCORE``.

    Args:
        probabilities: Of every class.
        boxes: cx cy w h relative to the canvas.
        pick: Dense proposals, where there are some.
    """
    scores, query = probabilities.amax(-1).sort(descending=True, stable=True)
    found = (scores >= TAUGHT_SCORE).sum(1)
    most = int(found.max()) if len(found) else 0
    valid = torch.arange(most, device=scores.device) < found[:, None]
    query = torch.where(valid, query[:, :most], 0)
    image = torch.arange(len(query), device=query.device)[:, None]
    return SoftObjects(
        probabilities=probabilities[image, query] * valid[..., None],
        boxes=boxes[image, query] * valid[..., None],
        weight=scores[:, :most] * valid,
        query=query,
        counts=tuple(int(count) for count in found.tolist()),
        pick=pick,
    )
