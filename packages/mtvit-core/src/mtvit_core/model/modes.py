"""Training and evaluation mode of every module of a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import nn


@contextmanager
def keeping_modes(model: nn.Module) -> Iterator[None]:
    """Switch every module back, at the end, to the mode it was in."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        _restore(modes)


@dataclass
class _Evaluation:
    """An evaluation that is going on.

    Attributes:
        modes: The modes that all modules were in before.
        users: How many wait for its end, in all threads.
    """

    modes: dict[nn.Module, bool]
    users: int = 1


_GOING_ON: WeakKeyDictionary[nn.Module, _Evaluation] = WeakKeyDictionary()
_LOCK = Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation without gradients, and every module back to the mode it was in.

    Several threads may do so at once: the first one switches, and the last one switches back.
    """
    with _LOCK:
        going_on = _GOING_ON.get(model)
        if going_on is None:
            _GOING_ON[model] = _Evaluation({module: module.training for module in model.modules()})
            model.eval()
        else:
            going_on.users += 1
    try:
        with torch.inference_mode():
            yield
    finally:
        with _LOCK:
            going_on = _GOING_ON[model]
            going_on.users -= 1
            if not going_on.users:
                del _GOING_ON[model]
                _restore(going_on.modes)


def _restore(modes: dict[nn.Module, bool]) -> None:
    for module, training in modes.items():
        module.training = training
