"""Scores of candidates, made in this process or in several, which all do the same."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Protocol, runtime_checkable

import torch

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_train.distributed.ranks import RankError
from mtvit_train.distributed.stop_signals import StopRequest, ignore_signals
from mtvit_train.search.evolution.search import Images

#: Seconds between two looks at whether the search is to stop.
LOOK = 0.2
Metrics = Mapping[str, float]


@runtime_checkable
class Scorer(Protocol):
    """What scores one candidate."""

    def score(self, genome: Genome, images: Images, stop: StopRequest | None = None) -> Metrics:
        """Return metrics by ``task/metric``.

        Args:
            genome: The candidate.
            images: Which images it is scored on.
            stop: Asked after every batch.
        """


class Alone:
    """Scores candidates here, one after the other."""

    def __init__(self, scorer: Scorer, threads: int, stop: StopRequest) -> None:
        """Keep what scores.

        Args:
            scorer: Scores one candidate.
            threads: Threads that torch has meanwhile.
            stop: Asked after every batch.
        """
        self.scorer, self.threads, self.stop = scorer, threads, stop

    def __call__(self, genomes: Sequence[Genome], images: Images) -> Iterator[Metrics]:
        """Yield metrics in the order of the genomes."""
        for genome in genomes:
            before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            try:
                found = self.scorer.score(genome, images, self.stop)
            finally:
                torch.set_num_threads(before)
            yield found

    def close(self) -> None:
        """Nothing was opened."""


class Processes:
    """Scores candidates in several processes, each with a scorer of its own."""

    def __init__(self, make: Callable[[], Scorer], count: int, threads: int, stop: StopRequest) -> None:
        """Prepare the processes; they start with the first candidates.

        Args:
            make: Makes a scorer; sent to the processes.
            count: How many processes.
            threads: Threads of torch of each.
            stop: Looked at while candidates are waited for.
        """
        self.stop = stop
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, _start, (make, threads))

    def __call__(self, genomes: Sequence[Genome], images: Images) -> Iterator[Metrics]:
        """Yield metrics in the order of the genomes.

        Raises:
            StopAsked: the search was asked to stop.
            RankError: one of the processes has ended.
        """
        waiting = [self._pool.submit(_score, genome, images) for genome in genomes]
        for one in waiting:
            yield self._result(one)

    def _result(self, one: "Future[Metrics]") -> Metrics:
        while True:
            self.stop.check_here()
            try:
                return one.result(LOOK)
            except TimeoutError:
                continue
            except BrokenProcessPool as cause:
                raise RankError(
                    "search: a process that scores candidates has ended, perhaps for want of memory; take "
                    "fewer search.processes, and resume."
                ) from cause

    def close(self) -> None:
        """End the processes at once; what they were at is done again by whoever goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._children():
            process.kill()

    def _children(self) -> set[BaseProcess]:
        return set(multiprocessing.active_children()) - self._others


#: What scores in a process that ``Processes`` has started.
_SCORERS: list[Scorer] = []


def _start(make: Callable[[], Scorer], threads: int) -> None:
    ignore_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _SCORERS[:] = [make()]


def _end_with_parent() -> None:
    """End where the search was killed: nobody would read the scores."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score(genome: Genome, images: Images) -> Metrics:
    return _SCORERS[0].score(genome, images)
