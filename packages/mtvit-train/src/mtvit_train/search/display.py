"""What a search shows on the terminal: a bar with the best so far, and a line for each generation."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.candidate import Arm, Candidate, fittest

#: Candidates after which a search says how long it takes.
TIMED = 8


class SearchDisplay:
    """The progress of a search; plain lines where the output is not a terminal."""

    def __init__(self, console: Console, table: SearchTable, known: int) -> None:
        """Prepare the bar.

        Args:
            console: Where to write.
            table: Settings of the search.
            known: Candidates that the log tells of already; they take no time.
        """
        arms = 2 if table.random else 1
        self.console, self.table, self.known = console, table, known
        self.total = arms * table.population * table.generations
        self.done, self._started = 0, time.perf_counter()
        self._best: Candidate | None = None
        self.progress = Progress(
            TextColumn("searching"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self.bar = self.progress.add_task("searching", total=self.total, text="")

    def __enter__(self) -> "SearchDisplay":
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self.progress.stop()

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def notes(self, lines: Sequence[str]) -> None:
        """Print what has to be said once; the clock starts here."""
        for line in lines:
            self.say(line)
        self._started = time.perf_counter()

    def scored(self, candidate: Candidate) -> None:
        """Move the bar, and say after a few candidates how long it takes."""
        self.done += 1
        if self._best is None or candidate.fitness > self._best.fitness:
            self._best = candidate
        self.progress.update(self.bar, completed=self.done, text=f"best {self._best.fitness:.3f}")
        fresh = self.done - self.known
        if fresh == 0:
            self._started = time.perf_counter()
        if fresh == TIMED and self.total > self.done:
            each = (time.perf_counter() - self._started) / TIMED
            minutes = each * (self.total - self.done) / 60
            self.say(f"{self.total} candidates at {each:.1f} s each: about {minutes:.0f} minutes from here.")

    def generation(self, arm: Arm, number: int, bred: Sequence[Candidate], best: Candidate) -> None:
        """Print the best of a generation, and the best so far."""
        where = f"{arm} {number + 1}/{self.table.generations}"
        if not bred:
            self.say(f"{where}: no candidate that is new and within the limits was found.")
            return
        own = fittest(list(bred))
        self.say(
            f"{where}: {len(bred)} candidates, best {own.fitness:.3f}; so far {best.fitness:.3f} with "
            f"{describe(best)}"
        )


def describe(candidate: Candidate) -> str:
    """Write size, time and genome of a candidate."""
    time_of_pass = "" if candidate.ms is None else f", {candidate.ms:.1f} ms"
    return f"{candidate.parameters / 1e6:.2f} M parameters{time_of_pass}, {candidate.genome}"
