"""Samples of several data sets: by weight, the same wherever and whenever they are asked for."""

from collections import Counter

import numpy as np
import pytest

from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.data.packed import sizes_by


def keys(mixture: Mixture, count: int, seed: int = 3) -> list[tuple[int, int]]:
    return [mixture.key(position, seed) for position in range(count)]


def members(mixture: Mixture, found: list[tuple[int, int]]) -> list[int]:
    return [int(np.searchsorted(np.cumsum(mixture.sizes), index, side="right")) for _, index in found]


def test_without_weights_a_block_holds_every_sample_once() -> None:
    mixture = Mixture.of((5, 0, 3), (5, 0, 3))
    assert mixture.quotas == (5, 0, 3)
    for block in range(3):
        found = keys(mixture, 24)[8 * block : 8 * block + 8]
        assert sorted(index for _, index in found) == list(range(8))
        assert {turn for turn, _ in found} == {block}


@pytest.mark.parametrize(
    ("sizes", "weights", "quotas"),
    [
        ((60, 40), (1, 1), (50, 50)),
        ((60, 40), (3, 1), (75, 25)),
        ((7, 2, 1), (1, 1, 1), (4, 3, 3)),
        ((90, 5, 5), (1e6, 1, 1), (98, 1, 1)),
        ((3, 1, 1, 1), (50, 50, 1, 1), (2, 2, 1, 1)),
        ((10, 0), (1, 100), (10, 0)),
    ],
)
def test_blocks_are_shared_out_by_weight(
    sizes: tuple[int, ...], weights: tuple[float, ...], quotas: tuple[int, ...]
) -> None:
    mixture = Mixture.of(sizes, weights)
    assert mixture.quotas == quotas
    block = Counter(members(mixture, keys(mixture, sum(sizes))))
    assert tuple(block[s] for s in range(len(sizes))) == quotas


def test_each_data_set_is_passed_through_whole_and_in_changing_order() -> None:
    mixture = Mixture.of((6, 3), (1, 2))
    found = keys(mixture, 45)
    of_second = [(turn, index) for turn, index in found if index >= 6]
    passes = [tuple(index for _, index in of_second[i : i + 3]) for i in range(0, 30, 3)]
    assert all(sorted(one) == [6, 7, 8] for one in passes)
    assert len(set(passes)) > 1
    assert [turn for turn, _ in of_second] == [i // 3 for i in range(30)]
    assert len(set(found)) == len(found)


def test_it_says_what_the_first_samples_of_a_run_are() -> None:
    mixture = Mixture.of((6, 3, 2), (1, 2, 1))
    for samples in (0, 5, 11, 29):
        counted = Counter(members(mixture, keys(mixture, samples)))
        assert mixture.drawn(samples, 3) == tuple(counted[s] for s in range(3))


def test_steps_are_the_same_in_any_number_of_processes_and_after_a_resume() -> None:
    mixture = Mixture.of((6, 3), (1, 2))

    def sampler(batch: int, start: int = 0, rank: int = 0, world: int = 1) -> EpochSampler:
        return EpochSampler(9, batch, 3, start=start, rank=rank, world=world, mixture=mixture)

    whole = [sampler(4).batch(step) for step in range(12)]
    shared = [
        [*sampler(2, rank=0, world=2).batch(i), *sampler(2, rank=1, world=2).batch(i)] for i in range(12)
    ]
    assert shared == whole
    resumed = iter(sampler(4, start=7))
    assert [next(resumed) for _ in range(5)] == whole[7:]


def test_another_seed_gives_another_order() -> None:
    mixture = Mixture.of((20, 10), (1, 1))
    assert keys(mixture, 30, seed=1) != keys(mixture, 30, seed=2)


def test_people_are_counted_by_the_data_set_of_their_image() -> None:
    assert sizes_by([0, 3, 4], np.array([0, 0, 2, 4, 4, 5])) == (3, 0, 3)
