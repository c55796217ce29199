"""Numbers that all processes of a run agree on."""

import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


def mean_over_ranks(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Return the mean of a tensor over the processes of a run, without gradient; of one process, itself."""
    values = values.detach()
    if not (dist.is_available() and dist.is_initialized()):
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
