"""What the tasks of an instance group agree on: the class of each query.

    l_qc = mean of l_qc,t over the tasks t that find class c

Every head says the class of a query by itself, from what it has learned of its own labels. An object has one
class, so results are made of the mean; how sure a task is of its part, such as the mask or the pose, stays
its own.

Source: means of logits are the logarithmic opinion pool (Genest & Zidek 1986, section 3; Hinton 2002 calls it
a product of experts).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def mean_logits(
    said: Mapping[str, Float[Tensor, "B Q _"]], columns: Mapping[str, Sequence[int]]
) -> dict[str, Float[Tensor, "B Q _"]]:
    """Return what every task is to say: for each of its classes the mean over the tasks that find it.

    Args:
        said: Logits by task, of the same queries; each task has a column for each of its classes.
        columns: Number of the class of each of these columns, by task.
    """
    first = next(iter(said.values()))
    classes = 1 + max(max(columns[task]) for task in said)
    total = first.new_zeros(*first.shape[:2], classes)
    tasks = first.new_zeros(classes)
    for task, logits in said.items():
        index = torch.tensor(columns[task], device=first.device)
        total.index_add_(2, index, logits.to(total.dtype))
        tasks.index_add_(0, index, tasks.new_ones(len(index)))
    return {task: total[..., list(columns[task])] / tasks[list(columns[task])] for task in said}
