"""Several processes: as a user starts them, and, sooner, from one that has imported all they need."""

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, get_context, set_start_method
from pathlib import Path
from unittest import mock

from torch.distributed import TCPStore

#: Environment of a worker: one thread, the helpers of the tests within its reach, and no warning unseen.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
    "PYTHONWARNINGS": "error::UserWarning",
}
#: What takes a process six seconds to import.
PRELOADED = ["mtvit_train.runs.run", "mtvit_train.runs.resume", "workers.shard_worker"]
#: Seconds that a process is waited for.
PATIENCE = 300.0


def torchrun(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Start something in several processes, as a user does; what torch warns of there is an error."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return subprocess.run(
        [*start, str(processes), *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )


def gloo_threads() -> list[str]:
    """Names of this process's threads that exchange tensors with other processes."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


class Forked:
    """What ``python`` does with some arguments, in a process forked from one that has imported torch.

    That one is started once in each process of pytest. It imports without the checks of shapes.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._printed = tempfile.TemporaryDirectory(prefix="forked-")
        for name in ("out", "err"):  # whenever it is killed
            Path(self._printed.name, name).touch()
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        with mock.patch.dict(os.environ, ENVIRONMENT):
            forkserver.ensure_running()
        given = (list(arguments), dict(environment or {}), self._printed.name)
        self.process = context.Process(target=_python, args=given)
        self.process.start()

    def ended(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end, kill it if that does not come, and return what it printed."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        out, err = (Path(self._printed.name, name).read_text() for name in ("out", "err"))
        self._printed.cleanup()
        return subprocess.CompletedProcess([], self.process.exitcode or 0, out, err)


def forked(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Start something in several processes at a fraction of the time ``torchrun`` takes.

    It ends none of them: where one fails, the others have to notice.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    world = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as torchrun does: the store is here
    }
    started = [Forked(arguments, {**world, "RANK": str(i), "LOCAL_RANK": str(i)}) for i in range(processes)]
    ends = [one.ended() for one in started]
    code = next((end.returncode for end in ends if end.returncode), 0)
    out, err = ("".join(parts) for parts in zip(*((end.stdout, end.stderr) for end in ends), strict=True))
    return subprocess.CompletedProcess([], code, out, err)


def _python(arguments: list[str], environment: dict[str, str], printed: str) -> None:
    """Be ``python`` with some arguments."""
    os.environ.update(environment)
    set_start_method(None, force=True)  # else workers of loaders outlive a kill of this process
    for number, name in enumerate(("out", "err"), start=1):
        with Path(printed, name).open("w") as file:
            os.dup2(file.fileno(), number)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
