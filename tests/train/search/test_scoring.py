"""Several processes that score candidates."""

import os
import threading
import time
from functools import partial

import pytest
import torch

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_train.distributed.ranks import RankError
from mtvit_train.distributed.stop_signals import StopAsked, StopRequest
from mtvit_train.search.evolution.search import Images
from mtvit_train.search.scoring import Alone, Processes

GENOMES = [Genome(width, (1,), (2.0,)) for width in (40, 30, 20, 10)]


class Slow:
    """Scores a wide candidate more slowly; ends with the process at some width."""

    def __init__(self, deadly: int = 0, seconds: float = 0.02) -> None:
        self.deadly, self.seconds = deadly, seconds

    def score(self, genome: Genome, images: Images, stop: StopRequest | None = None) -> dict[str, float]:
        if genome.width == self.deadly:
            os._exit(1)
        time.sleep(self.seconds * genome.width / 10)
        return {"width": genome.width, "threads": torch.get_num_threads()}


def test_scores_come_in_order_by_as_many_threads_from_any_number_of_processes() -> None:
    several = Processes(Slow, 2, 1, StopRequest())
    try:
        found = list(several(GENOMES, "compared"))
    finally:
        several.close()
    assert found == [{"width": one.width, "threads": 1} for one in GENOMES]
    assert found == list(Alone(Slow(), 1, StopRequest())(GENOMES, "compared"))


def test_a_process_that_ends_is_told() -> None:
    several = Processes(partial(Slow, 30), 1, 1, StopRequest())
    try:
        with pytest.raises(RankError, match=r"has ended, .* take fewer search.processes"):
            list(several(GENOMES, "compared"))
    finally:
        several.close()


def test_a_stop_ends_long_work_at_once() -> None:
    stop = StopRequest()
    several = Processes(partial(Slow, seconds=60.0), 1, 1, stop)
    threading.Timer(0.5, lambda: setattr(stop, "cause", "SIGTERM")).start()
    started = time.monotonic()
    try:
        with pytest.raises(StopAsked):
            list(several(GENOMES, "compared"))
    finally:
        several.close()
    assert time.monotonic() - started < 20
