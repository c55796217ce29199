"""Working ahead: in order, a bounded number of steps, with errors where they belong."""

import threading
import time

import pytest

from mtvit_core.video.ahead import ahead


def test_items_come_in_order():
    with ahead(iter(range(50)), 3) as items:
        assert list(items) == list(range(50))


def test_it_works_ahead_but_not_far():
    made = []

    def work():
        for i in range(100):
            made.append(i)
            yield i

    with ahead(work(), 4) as items:
        next(items)
        time.sleep(0.3)
        assert 2 <= len(made) <= 6


def test_an_error_comes_after_the_items_before_it():
    def work():
        yield 1
        raise ValueError("torn")

    with ahead(work(), 4) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="torn"):
            next(items)


def test_leaving_early_ends_the_thread_and_closes_the_generator():
    closed = threading.Event()

    def work():
        try:
            yield from range(1000)
        finally:
            closed.set()

    with ahead(work(), 2) as items:
        assert next(items) == 0
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "mtvit-ahead"]
