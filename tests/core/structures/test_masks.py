"""Run lengths: expanded as pycocotools does, and never beyond the mask."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mtvit_core.errors import DataError
from mtvit_core.structures.masks import (
    Rle,
    compress_runs,
    counts_to_rle,
    decode_rle,
    encode_rle,
    rle_area,
    run_lengths,
)


def random_masks():
    rng = np.random.default_rng(0)
    for trial in range(300):
        height, width = rng.integers(1, 60, 2)
        yield rng.random((height, width)) < (0, 0.02, 0.5, 0.98, 1)[trial % 5]


def test_decode_undoes_encode():
    for mask in random_masks():
        assert np.array_equal(decode_rle(encode_rle(mask)), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, on NumPy 2
def test_decode_equals_pycocotools():
    for mask in random_masks():
        rle = encode_rle(mask)
        theirs = coco_mask.decode({"size": list(rle.size), "counts": rle.counts.encode()})
        assert np.array_equal(decode_rle(rle), theirs.astype(bool))


def test_run_lengths_are_those_that_were_compressed():
    rng = np.random.default_rng(0)
    for _ in range(100):
        runs = rng.integers(0, 10 ** rng.integers(1, 6), rng.integers(1, 40)).tolist()
        rle = counts_to_rle(runs, 1, sum(runs))
        assert run_lengths(rle.counts).tolist() == runs


def test_many_masks_are_compressed_at_once_as_pycocotools_compresses_each():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 10 ** rng.integers(1, 9), rng.integers(1, 40)) for _ in range(200)]
    masks += [np.array([0, 1]), np.array([2**31 - 40, 0, 1, 0, 30, 0, 9])]
    texts = compress_runs(np.concatenate(masks), np.array([len(mask) for mask in masks]))
    for mask, text in zip(masks, texts, strict=True):
        assert run_lengths(text).tolist() == mask.tolist()
        if mask.sum() < 2**31:  # theirs are of 32 bits
            assert counts_to_rle(mask.tolist(), 1, int(mask.sum())).counts == text
    assert compress_runs(np.zeros(0, np.int64), np.zeros(0, np.int64)) == []


def test_area_is_the_number_of_pixels():
    for mask in random_masks():
        assert rle_area(encode_rle(mask)) == mask.sum()


def test_no_runs_fill_an_empty_mask():
    assert decode_rle(Rle((0, 4), "")).shape == (0, 4)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("~", "mask: '~' is not COCO's form of run lengths."),
        ("P", "mask: 'P' is not COCO's form of run lengths."),
        ("1é", "mask: '1é' is not COCO's form of run lengths."),
        ("o" * 20 + "1", "mask: 'oooooooooooooooooooo1' is not COCO's form of run lengths."),
        ("O", "mask: 'O' holds a run of negative length."),
        ("5", "mask: run lengths '5' do not add up to 2 x 3 pixels."),
        ("", "mask: run lengths '' do not add up to 2 x 3 pixels."),
    ],
)
def test_damaged_run_lengths(counts, message):
    with pytest.raises(DataError) as caught:
        decode_rle(Rle((2, 3), counts))
    assert str(caught.value) == message
