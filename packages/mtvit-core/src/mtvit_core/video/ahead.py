"""An iterator that works ahead in a thread of its own, a few steps and no more."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item], steps: int) -> Iterator[Iterator[Item]]:
    """Let an iterator run in a thread of its own while its items are used here.

    Args:
        items: What is iterated; a generator is closed at the end.
        steps: Items that wait at most.

    Yields:
        The items; an error of the iterator is raised where its item would have come.
    """
    working = _Ahead(items, steps)
    try:
        yield working.taken()
    finally:
        working.stop()


class _Ahead(Generic[Item]):
    def __init__(self, items: Iterable[Item], steps: int) -> None:
        self._items = items
        self._made: Queue[Item | _End] = Queue(maxsize=steps)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mtvit-ahead", daemon=True)
        self._thread.start()

    def taken(self) -> Iterator[Item]:
        while not isinstance(item := self._made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        iterator = iter(self._items)
        error: BaseException | None = None
        try:
            for item in iterator:
                self._put(item)
                if self._stop.is_set():
                    break
        except BaseException as cause:
            error = cause
        if isinstance(iterator, Generator):
            iterator.close()
        self._put(_End(error))

    def _put(self, item: "Item | _End") -> None:
        while not self._stop.is_set():
            try:
                self._made.put(item, timeout=0.1)
                return
            except Full:
                continue


class _End:
    """There are no more items; what was raised, if anything."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
