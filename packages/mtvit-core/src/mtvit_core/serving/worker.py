"""The one thread that runs the model, and the bounded row of requests before it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class FullError(Exception):
    """As many requests wait as may."""


class Worker:
    """Does one thing after the other in a thread of its own.

    A second pass beside the first would not end sooner: both would share the same cores.
    """

    def __init__(self, waiting: int) -> None:
        """Start without work.

        Args:
            waiting: Requests that may wait while one is worked on.
        """
        self._places, self._taken, self._lock = waiting + 1, 0, Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mtvit-model")

    @property
    def taken(self) -> int:
        """Places that are taken, by requests that are read, wait or are worked on."""
        return self._taken

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Hold a place; it is given back when its work has ended, whether anyone still waits for it or not.

        Raises:
            FullError: none is free.
        """
        with self._lock:
            if self._taken == self._places:
                raise FullError
            self._taken += 1
        place = Place(self._pool)
        try:
            yield place
        finally:
            if place.work is None:
                self._leave()
            else:
                place.work.add_done_callback(lambda _: self._leave())

    def _leave(self) -> None:
        with self._lock:
            self._taken -= 1

    def end(self) -> None:
        """Finish what has begun, and leave out the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Place:
    """A request's place.

    Attributes:
        work: What it has handed in; None before.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        """Begin with nothing handed in."""
        self._pool = pool
        self.work: Future[Any] | None = None

    async def do(self, work: Callable[[], Answer]) -> Answer:
        """Wait for work to be done in the worker's thread; who stops waiting takes it back if it can."""
        future = self._pool.submit(work)
        self.work = future
        return await asyncio.wrap_future(future)
