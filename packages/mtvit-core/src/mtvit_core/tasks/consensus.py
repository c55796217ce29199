"""What the tasks of an instance group agree on: the class and the box of each query.

    class   l_qc = mean of l_qct over the tasks t that find class c
    box     b_q  = mean of b_qt  over the tasks t that find argmax_c l_qc

Every head says class and box of a query by itself, as it has learned them from its own labels. An object has
one of each, so results are made of the means; how sure a task is of its part, such as the mask or the pose,
stays its own.

Sources: means of logits are the logarithmic opinion pool (Genest & Zidek 1986, section 3; Hinton 2002,
products of experts); means of the boxes of several models: Solovyev et al. 2021 (weighted boxes fusion).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class QueryObjects:
    """What a task says that the queries of its group are.

    Attributes:
        logits: Of the sigmoid class scores, at the output; a column for each of ``QueryRequest.labels``.
        boxes: cx cy w h relative to the canvas.
    """

    logits: Float[Tensor, "B Q C"]
    boxes: Float[Tensor, "B Q 4"]


def consensus(
    said: Mapping[str, QueryObjects], columns: Mapping[str, Sequence[int]]
) -> dict[str, QueryObjects]:
    """Return what every task is to say.

    Args:
        said: What each says of the same queries, by task.
        columns: Number of the class of each column of its logits, by task.
    """
    index = {task: torch.tensor(columns[task], device=one.logits.device) for task, one in said.items()}
    classes = 1 + max(int(own.max()) for own in index.values())
    first = next(iter(said.values())).logits
    finds = torch.stack([first.new_zeros(classes).index_fill_(0, index[task], 1) for task in said])  # T C
    total = first.new_zeros(*first.shape[:2], classes)
    for task, one in said.items():
        total.index_add_(2, index[task], one.logits.to(total.dtype))
    logits = total / finds.sum(0)
    # Classes that no task finds lie between those of the group; they are nobody's best.
    best = logits.nan_to_num(-torch.inf).argmax(-1)
    weight = (finds / finds.sum(0)).nan_to_num()[:, best]  # T B Q
    boxes = torch.stack([one.boxes for one in said.values()])
    box = (weight[..., None].to(boxes.dtype) * boxes).sum(0)
    return {task: QueryObjects(logits[..., index[task]], box) for task in said}
