"""Threads of the CPU: how many a process may use, and how they wait for each other.

Imports no torch: how threads wait is read once, when torch is loaded.
"""

import math
import os
import sys
from pathlib import Path

#: Where Linux tells the quota of a container: control groups, version 2 and 1.
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
CFS_QUOTA, CFS_PERIOD = (Path("/sys/fs/cgroup/cpu") / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
#: How often a waiting thread of GNU's OpenMP looks again before it sleeps; other OpenMPs sleep by the policy.
SPINS = 600


def usable_cores() -> int:
    """Return how many cores this process may keep busy: those it may run on, within its container's quota."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota())))


def quota() -> float:
    """Return how many cores the container may use, such as 1.5; infinite without a limit."""
    try:
        if CPU_MAX.is_file():
            most, period = CPU_MAX.read_text(encoding="ascii").split()
        else:
            most, period = (path.read_text(encoding="ascii").strip() for path in (CFS_QUOTA, CFS_PERIOD))
        return int(most) / int(period) if most not in ("max", "-1") else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def wait_passively() -> None:
    """Let threads that wait soon sleep, as long as torch is not loaded and nobody chose otherwise.

    OpenMP's threads spin while they wait. Beside another busy process the thread that they wait for may not
    run at all, so they burn the time that it needs; but to sleep at once costs a quarter of an idle machine's
    pace. So they spin for a moment (``benchmarks/training/busy_neighbour.py``).
    """
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)
    if "torch" not in sys.modules and not chosen:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
