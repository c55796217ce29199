"""The order of samples: a pure function of seed and step."""

from itertools import islice

import pytest

from mtvit_train.data.loading.sampler import EpochSampler


def keys(sampler, steps):
    return [key for batch in islice(sampler, steps) for key in batch]


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own():
    orders = []
    flat = keys(EpochSampler(10, 4, seed=3), 10)
    assert len(flat) == 40
    for epoch in range(4):
        mine = [index for e, index in flat if e == epoch]
        assert sorted(mine) == list(range(10))
        orders.append(mine)
    assert len({tuple(order) for order in orders}) == 4


def test_the_seed_decides_the_order():
    assert keys(EpochSampler(20, 20, seed=1), 1) == keys(EpochSampler(20, 20, seed=1), 1)
    assert keys(EpochSampler(20, 20, seed=1), 1) != keys(EpochSampler(20, 20, seed=2), 1)


def test_batches_run_on_from_epoch_to_epoch():
    batch = EpochSampler(10, 4, seed=3).batch(2)
    assert [epoch for epoch, _ in batch] == [0, 0, 1, 1]


@pytest.mark.parametrize("start", [0, 1, 2, 7, 100])
def test_a_run_that_starts_later_goes_on_as_the_first_would(start):
    whole, rest = EpochSampler(7, 3, seed=5), EpochSampler(7, 3, seed=5, start=start)
    assert keys(rest, 5) == [key for step in range(start, start + 5) for key in whole.batch(step)]


def test_without_shuffling_images_come_as_stored():
    assert keys(EpochSampler(3, 2, shuffle=False), 3) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_a_finite_run_ends_with_what_is_left():
    sampler = EpochSampler(5, 2, shuffle=False, epochs=1)
    assert list(sampler) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]
    assert len(sampler) == 3


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_each_global_batch_in_order(world):
    whole = list(EpochSampler(12, 2 * world, seed=1, epochs=2))
    parts = [list(EpochSampler(12, 2, seed=1, epochs=2, rank=r, world=world)) for r in range(world)]
    assert [[key for part in parts for key in part[step]] for step in range(len(whole))] == whole


def test_processes_see_every_image_of_a_finite_run_once():
    parts = [list(EpochSampler(11, 2, epochs=1, rank=r, world=3)) for r in range(3)]
    seen = [index for part in parts for batch in part for _, index in batch]
    assert sorted(seen) == list(range(11))
    assert all(len(EpochSampler(11, 2, epochs=1, rank=r, world=3)) == len(parts[r]) for r in range(3))


@pytest.mark.parametrize("start", [0, 2, 3, 50])
def test_the_length_counts_what_is_left(start):
    sampler = EpochSampler(5, 2, epochs=1, start=start)
    assert len(sampler) == len(list(sampler))


def test_an_endless_run_has_no_length():
    with pytest.raises(TypeError, match="a sampler without a number of epochs has no length"):
        len(EpochSampler(5, 2))


@pytest.mark.parametrize(
    "wrong", [{"length": 0}, {"batch_size": 0}, {"seed": -1}, {"start": -1}, {"rank": 1}, {"rank": -1}]
)
def test_impossible_numbers_are_refused(wrong):
    numbers = {"length": 5, "batch_size": 2, "seed": 0, "start": 0, "rank": 0, **wrong}
    with pytest.raises(ValueError, match="EpochSampler") as caught:
        EpochSampler(**numbers)
    assert str(caught.value) == (
        "EpochSampler: length {length} and batch_size {batch_size} must be at least 1, seed {seed} and start "
        "{start} at least 0, rank {rank} from 0 to below world 1."
    ).format(**numbers)
