"""The command ``mtvit-train``, whose second process is signalled at a step; torchrun starts this file."""

import os
import signal
import sys
from typing import Any

from mtvit_train.cli.main import main
from mtvit_train.engine.trainer import Trainer
from support.commands.processes import gloo_threads


def signal_at(step: int) -> None:
    """Send SIGUSR1 to the second process once so many updates are made."""
    update = Trainer.update

    def updating(self: Trainer[Any], *given: Any) -> Any:
        found = update(self, *given)
        if self.step == step and self.ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return found

    Trainer.update = updating  # type: ignore[method-assign]


if __name__ == "__main__":
    signal_at(int(sys.argv[1]))
    try:
        main(sys.argv[2:])
    finally:
        sys.stdout.write(f"threads of gloo left: {gloo_threads()}\n")
