"""The fading of masked attention follows the published schedules."""

import pytest
import torch

from mtvit_seg.head import MaskHead
from mtvit_seg.mask_annealing import mask_probability, window
from support.tasks.seg_cases import SPEC, task

#: Steps at which the fading starts, and the steps it lasts, in the published DINOv2 configurations.
PUBLISHED = {
    "COCO S and B, 12 epochs": ([14782, 36955, 59128], 14782),
    "COCO S and B, 24 epochs": ([29564, 73910, 118256], 29564),
    "COCO L, 12 epochs": ([14782, 29564, 44346, 59128], 14782),
    "COCO g, 12 epochs": ([14782, 25869, 36955, 48042, 59128], 14782),
    "ADE L, 31 epochs": ([6520, 13040, 19560, 26080], 6520),
    "ADE g, 31 epochs": ([6520, 11410, 16300, 21190, 26080], 6520),
    "Cityscapes L, 107 epochs": ([3317, 6634, 9951, 13268], 3317),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_windows_are_the_published_ones(name: str) -> None:
    starts, width = PUBLISHED[name]
    for block, start in enumerate(starts):
        found = [6 * width * edge for edge in window(block, len(starts))]
        # The published steps are rounded to whole steps.
        assert found == pytest.approx([start, start + width], abs=0.75)


def test_probability_falls_with_power_09_between_start_and_stop() -> None:
    steps = {
        0: 1.0,
        36954: 1.0,
        36955 + 14782 // 4: 0.75**0.9,
        36955 + 14782 // 2: 0.5**0.9,
        51738: 0.0,
        88692: 0.0,
    }
    for step, expected in steps.items():
        assert mask_probability(1, 3, step / 88692) == pytest.approx(expected, abs=1e-4)


def test_one_block_fades_first_thing() -> None:
    assert window(0, 1) == pytest.approx((1 / 6, 2 / 6))


def test_progress_sets_the_buffer_that_is_saved() -> None:
    seg = task(variant="eomt", blocks=3)
    head = seg.head(SPEC)
    assert isinstance(head, MaskHead)
    assert head.state_dict()["attn_mask_probs"].tolist() == [1, 1, 1]
    seg.progress(head, 0.25)
    assert head.state_dict()["attn_mask_probs"].tolist() == pytest.approx([0.5**0.9, 1, 1])
    seg.progress(head, 1.0)
    assert head.state_dict()["attn_mask_probs"].tolist() == [0, 0, 0]


def test_without_annealing_the_buffer_stays() -> None:
    seg = task(variant="eomt", blocks=3, anneal=False)
    head = seg.head(SPEC)
    seg.progress(head, 1.0)
    assert head.state_dict()["attn_mask_probs"].tolist() == [1, 1, 1]


def test_progress_leaves_the_picked_head_alone() -> None:
    seg = task()
    head = seg.head(SPEC)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    seg.progress(head, 0.5)
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())
