"""Damaged images, data sets, settings and checkpoints: each is read or refused in one line, and soon.

    python -m benchmarks.robustness.fuzz --inputs 100000

Input i of a kind is the same in every run of the same seed; ``--only images --at 17`` reads that one alone.
Counted are inputs that were read and that were refused, tracebacks (any exception that is none of mtvit's, or
one of several lines), and inputs that took more than 10 s. Exit code 1 where there is any of the last two.
"""

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.robustness.fuzzing.doors import DOORS, Door

from mtvit_core.errors import MtvitError

#: Seconds after which an input counts as a hang.
PATIENCE = 10
#: Bytes that the process may take in all.
MOST_MEMORY = 6 * 2**30


class HangError(BaseException):
    """An input took too long."""


def _hang(*_: object) -> None:
    raise HangError


def attempt(door: Door, place: Path) -> str:
    """Return how reading ended: ``read``, ``refused``, ``hang``, or where the traceback came from."""
    signal.alarm(PATIENCE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door.read(place)
    except MtvitError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {type(error).__name__}: {error}"
    except HangError:
        return "hang"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "/mtvit" in f.filename and "benchmarks" not in f.filename] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__}: {str(error)[:100]!r} at {place}"
    finally:
        signal.alarm(0)
    return "read"


@dataclass
class Endings:
    """How inputs of one kind ended.

    Attributes:
        counts: Inputs by ending; tracebacks by the place that they came from.
        first: The first input of each ending, and what it said.
    """

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, ending: str, number: int) -> None:
        """Count one."""
        kind, _, place = ending.partition(" at ")
        key = f"{kind.partition(':')[0]} at {place}" if place else ending
        self.counts[key] += 1
        self.first.setdefault(key, f"input {number}: {ending}")

    @property
    def tracebacks(self) -> dict[str, int]:
        """Those that should not be, most frequent first."""
        return {
            ending: count
            for ending, count in self.counts.most_common()
            if ending not in ("read", "refused", "hang")
        }


def fuzz(name: str, numbers: Iterable[int], seed: int) -> Endings:
    """Return how inputs of one kind ended."""
    endings = Endings()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "place"
        place.mkdir()
        door = DOORS[name][0](Path(folder))
        for i in numbers:
            door.write(place, Random(f"{name} {seed} {i}"))
            endings.add(attempt(door, place), i)
    return endings


def main() -> int:
    """Fuzz every kind, print a table and what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(DOORS), help="one kind alone")
    parser.add_argument("--at", type=int, help="one input of it alone")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))  # more is a traceback
    failed = 0
    heads = ("inputs", "read", "refused", "tracebacks", "hangs", "seconds", "peak MiB")
    print(f"{'kind':16}" + "".join(f"{head:>12}" for head in heads))
    for name, (_, share) in DOORS.items():
        if arguments.only not in (None, name):
            continue
        started = time.perf_counter()
        count = arguments.inputs if arguments.only else round(arguments.inputs * share)
        numbers = range(count) if arguments.at is None else [arguments.at]
        endings = fuzz(name, numbers, arguments.seed)
        failed += show(name, endings, time.perf_counter() - started)
    return 1 if failed else 0


def show(name: str, endings: Endings, seconds: float) -> int:
    """Print the row of a kind and what failed; return how many inputs failed."""
    counts, bad = endings.counts, endings.tracebacks
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    numbers = (counts.total(), counts["read"], counts["refused"], sum(bad.values()), counts["hang"])
    cells = "".join(f"{number:12}" for number in (*numbers, round(seconds), peak))
    print(f"{name:16}{cells}", flush=True)
    for ending, number in [*bad.items(), ("hang", counts["hang"])]:
        if number:
            print(f"  {number} x {ending}; {endings.first[ending]}", flush=True)
    return sum(bad.values()) + counts["hang"]


if __name__ == "__main__":
    sys.exit(main())
