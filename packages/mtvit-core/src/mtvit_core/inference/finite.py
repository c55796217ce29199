"""Weights that are not finite are named where something fails because of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mtvit_core.errors import DivergedError, MtvitError


@contextmanager
def blaming_weights(model: nn.Module) -> Iterator[None]:
    """Turn an error that comes of weights that are not finite into one line; others pass.

    Raises:
        DivergedError: something failed, and a weight is NaN or infinite.
    """
    try:
        yield
    except MtvitError:
        raise
    except Exception as cause:
        wild = next((name for name, value in model.named_parameters() if not value.isfinite().all()), None)
        if wild is None:
            raise
        raise DivergedError(
            f"model: its weight {wild!r} is not finite; the run that made it has diverged, or the file is "
            "damaged: take an earlier checkpoint."
        ) from cause
