"""The worker: one thing at a time, a bounded number of places."""

import asyncio
import threading
import time

import pytest

from mtvit_core.serving.worker import FullError, Worker


def test_work_is_done_one_after_the_other_in_one_thread():
    worker, log = Worker(3), []

    def work(number):
        log.append((number, threading.current_thread().name))
        time.sleep(0.01)
        return number

    async def one(number):
        with worker.place() as place:
            return await place.do(lambda: work(number))

    async def all_of_them():
        return await asyncio.gather(*(one(number) for number in range(4)))

    assert asyncio.run(all_of_them()) == [0, 1, 2, 3]
    assert [number for number, _ in log] == [0, 1, 2, 3]
    assert len({name for _, name in log}) == 1
    assert worker.taken == 0
    worker.end()


def test_places_are_bounded_and_given_back():
    worker = Worker(1)
    with worker.place(), worker.place():
        assert worker.taken == 2
        with pytest.raises(FullError), worker.place():
            pass
    with worker.place():
        assert worker.taken == 1
    worker.end()


def test_work_that_nobody_waits_for_keeps_its_place_until_it_ends():
    worker, go, done = Worker(1), threading.Event(), []

    async def give_up():
        with worker.place() as place:
            async with asyncio.timeout(0.05):
                await place.do(lambda: go.wait(5) and done.append("first"))

    async def never_begun():
        with worker.place() as place:
            async with asyncio.timeout(0.05):
                await place.do(lambda: done.append("second"))

    for waiting in (give_up, never_begun):
        with pytest.raises(TimeoutError):
            asyncio.run(waiting())
    assert worker.taken == 1  # the one that has begun; the other was taken back
    go.set()
    worker.end()
    assert (done, worker.taken) == (["first"], 0)
