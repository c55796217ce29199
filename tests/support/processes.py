"""Several processes, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

#: Environment of a worker: one thread, and the helpers of the tests within its reach.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
}


def torchrun(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Start something in several processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return subprocess.run(
        [*start, str(processes), *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=300
    )
