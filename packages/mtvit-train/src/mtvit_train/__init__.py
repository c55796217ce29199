"""The trainer of mtvit; ``train`` does what the command ``mtvit-train`` does.

A name is imported when it is first used, so that ``mtvit-train --help`` imports no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtvit_train.runs.train import Trained as Trained
    from mtvit_train.runs.train import train as train

__all__ = ["Trained", "train"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mtvit_core.threads import wait_passively

    wait_passively()
    from mtvit_train.runs import train as found

    return getattr(found, name)
