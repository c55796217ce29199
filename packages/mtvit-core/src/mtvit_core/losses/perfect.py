"""Predictions that are certain of the truth, for ``Task.perfect``: query m says object m."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

#: Logit of what is certain; its sigmoid differs from 1 by 2e-9.
SURE = 20.0


def perfect_logits(
    logits: Float[Tensor, "L B Q C"],
    labels: Int64[Tensor, "B M"],
    valid: Bool[Tensor, "B M"],
    no_object: int | None = None,
) -> Float[Tensor, "L B Q C"]:
    """Return class logits that name every object.

    Args:
        logits: For the shape.
        labels: Class of each object.
        valid: Which objects exist; those past the number of queries are left out.
        no_object: The column that means "no object"; None where low logits of all classes do.
    """
    certain = torch.full_like(logits, -SURE)
    image, slot = places(valid, logits.shape[2])
    if no_object is not None:
        certain[..., no_object] = SURE
        certain[:, image, slot, no_object] = -SURE
    certain[:, image, slot, labels[image, slot]] = SURE
    return certain


def perfect_rows(
    values: Float[Tensor, "L B Q *any"], truth: Float[Tensor, "B M *any"], valid: Bool[Tensor, "B M"]
) -> Float[Tensor, "L B Q *any"]:
    """Return values, such as boxes, in which query m has what is true of object m; the others stay."""
    certain = values.clone()
    image, slot = places(valid, values.shape[2])
    certain[:, image, slot] = truth[image, slot].to(values.dtype)
    return certain


def places(valid: Bool[Tensor, "B M"], queries: int) -> tuple[Tensor, Tensor]:
    """Return image and place of every object that a query can say."""
    image, slot = valid[:, :queries].nonzero(as_tuple=True)
    return image, slot
