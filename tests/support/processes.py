"""Several processes, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

#: Environment of a worker: one thread, the helpers of the tests within its reach, and no warning unseen.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
    "PYTHONWARNINGS": "error::UserWarning",
}


def torchrun(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Start something in several processes; what torch warns of there is an error."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return subprocess.run(
        [*start, str(processes), *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=300
    )


def gloo_threads() -> list[str]:
    """Names of this process's threads that exchange tensors with other processes."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]
