"""Panoptic results: the official rule derived again, pixel by pixel."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import ConfigError
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap
from mtvit_seg.decoding.resize import BUDGET
from mtvit_seg.head import SegPredictions
from support.tasks.seg_cases import CATEGORIES, learned, metas, picked, task

SKY = 2  # label of the category with id 20


def by_hand(
    predictions: SegPredictions, image: int, meta: ImageMeta, score: float, overlap: float
) -> tuple[Tensor, list[tuple[int, int]]]:
    """The map of query numbers (stuff: the first one's), and (query, label) of the segments in order."""
    probabilities = predictions.logits[0, image].detach().softmax(-1)
    rows, columns = meta.content
    big = F.interpolate(predictions.mask_logits[0, image].detach()[None], predictions.canvas, mode="bilinear")
    masks = F.interpolate(big[..., :rows, :columns], (meta.height, meta.width), mode="bilinear")[0].sigmoid()
    kept = []
    for query, row in enumerate(probabilities):
        best = int(row.argmax())
        if best != 3 and row[best] > score:
            kept.append((query, best, row[best]))
    found = torch.full((meta.height, meta.width), -1)
    if not kept:
        return found, []
    claims = torch.stack([p * masks[q] for q, _, p in kept])
    owner = claims.argmax(0)
    segments: list[tuple[int, int]] = []
    for index, (query, label, _) in enumerate(kept):
        own, original = owner == index, masks[query] >= 0.5
        final = own & original
        if not own.any() or not original.any() or not final.any() or own.sum() / original.sum() < overlap:
            continue
        first = next((q for q, c in segments if c == label and c == SKY), None)
        if first is None:
            segments.append((query, label))
        found[final] = query if first is None else first
    return found, segments


def same_map(result: CategoryMap, expected: Tensor, segments: list[tuple[int, int]]) -> None:
    assert [segment.label for segment in result.segments] == [label for _, label in segments]
    assert [segment.id for segment in result.segments] == list(range(1, len(segments) + 1))
    assert torch.equal(result.segment_ids == 0, expected == -1)
    for segment, (query, label) in zip(result.segments, segments, strict=True):
        assert torch.equal(result.segment_ids == segment.id, expected == query)
        assert segment.area == int((expected == query).sum())
        assert segment.is_stuff == (label == SKY)


def smooth(seed: int, queries: int = 8) -> SegPredictions:
    """Confident queries with large smooth masks that overlap."""
    torch.manual_seed(seed)
    made = learned(images=2, queries=queries)
    coarse = 4 * torch.randn(2, queries, 3, 4)
    masks = F.interpolate(coarse, (16, 24), mode="bicubic")[None]
    return replace(made, logits=6 * made.logits.detach(), mask_logits=masks)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("score", "overlap"), [(0.8, 0.8), (0.5, 0.3)])
def test_panoptic_equals_the_rule_by_hand(seed: int, score: float, overlap: float) -> None:
    predictions, meta = smooth(seed), metas((64, 96), (50, 70))
    seg = task(variant="eomt", stuff=[20], panoptic_score=score, panoptic_overlap=overlap)
    found = seg.variant.panoptic(predictions, meta)
    for image, at in enumerate(meta):
        same_map(found[image], *by_hand(predictions, image, at, score, overlap))


def test_the_cases_hold_merged_stuff_and_dropped_queries() -> None:
    merged, dropped = 0, 0
    for seed in range(6):
        predictions, meta = smooth(seed), metas((64, 96), (50, 70))
        results = task(variant="eomt", stuff=[20], panoptic_score=0.5, panoptic_overlap=0.3).variant.panoptic(
            predictions, meta
        )
        apart = task(variant="eomt", panoptic_score=0.5, panoptic_overlap=0.3).variant.panoptic(
            predictions, meta
        )
        every = task(variant="eomt", panoptic_score=0.5, panoptic_overlap=0.0).variant.panoptic(
            predictions, meta
        )
        merged += sum(len(r.segments) < len(a.segments) for r, a in zip(results, apart, strict=True))
        dropped += sum(len(a.segments) < len(e.segments) for a, e in zip(apart, every, strict=True))
    assert merged >= 2
    assert dropped >= 2


def test_masks_in_parts_give_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, meta = smooth(1), metas((64, 96), (50, 70))
    seg = task(variant="eomt", stuff=[20], panoptic_score=0.5, panoptic_overlap=0.3)
    whole = seg.variant.panoptic(predictions, meta)
    bytes_each = 4 * (64 * 96 + 64 * 96)
    assert bytes_each * 8 < BUDGET
    monkeypatch.setattr("mtvit_seg.decoding.resize.at_original.__defaults__", (3 * bytes_each,))
    for a, b in zip(whole, seg.variant.panoptic(predictions, meta), strict=True):
        assert torch.equal(a.segment_ids, b.segment_ids)
        assert a.segments == b.segments


def test_nothing_confident_is_all_void() -> None:
    predictions = replace(learned(), logits=torch.zeros(1, 1, 6, 4))
    found = task(variant="eomt").variant.panoptic(predictions, metas((30, 40)))[0]
    assert found.segments == ()
    assert found.segment_ids.shape == (30, 40)
    assert not found.segment_ids.any()


def test_picked_queries_give_panoptic_results_too() -> None:
    made = picked(queries=2)
    logits = torch.tensor([[4.0, -4.0, -4.0], [-4.0, 4.0, -4.0]])[None, None]
    masks = torch.full((1, 1, 2, 16, 24), -5.0)
    masks[0, 0, 0, :, :12], masks[0, 0, 1, :, 12:] = 5.0, 5.0
    predictions = replace(made, logits=logits, mask_logits=masks)
    found = task().variant.panoptic(predictions, metas((64, 96)))[0]
    assert [(s.label, s.area, s.is_stuff) for s in found.segments] == [
        (0, 64 * 48, False),
        (1, 64 * 48, False),
    ]
    assert (found.segment_ids[:, :48] == 1).all()
    assert (found.segment_ids[:, 48:] == 2).all()


def test_stuff_must_be_a_category() -> None:
    with pytest.raises(ConfigError) as caught:
        task(stuff=[20, 21])
    assert str(caught.value) == (
        "config: tasks.seg.stuff holds 21, which is no category id; the ids are 3, 7, 20."
    )
    assert [category.id for category in CATEGORIES] == [3, 7, 20]
