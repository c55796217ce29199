"""Semantic results: the sum over queries derived again."""

import pytest
import torch
from torch.nn import functional as F

from mtvit_seg.decoding.semantic import decode_semantic, semantic_scores
from support.tasks.seg_cases import learned, metas, picked


@pytest.mark.parametrize("variant", ["eomt", "picked"])
def test_labels_are_the_best_sum_over_queries(variant: str) -> None:
    predictions = (learned if variant == "eomt" else picked)(images=2)
    meta = metas((50, 60), (100, 150))
    found = decode_semantic(predictions, meta)
    for image, at in enumerate(meta):
        logits, masks = predictions.logits[0, image].detach(), predictions.mask_logits[0, image].detach()
        weight = logits.softmax(-1)[:, :3] if variant == "eomt" else logits.sigmoid()
        inside = F.interpolate(masks[None], (64, 96), mode="bilinear")[0].sigmoid()
        scores = sum(weight[q, :, None, None] * inside[q] for q in range(6))
        rows, columns = at.content
        expected = F.interpolate(scores[None, :, :rows, :columns], (at.height, at.width), mode="bilinear")[0]
        assert found[image].shape == (at.height, at.width)
        assert torch.equal(found[image], expected.argmax(0))
        assert len(found[image].unique()) > 1


def test_parts_change_nothing() -> None:
    predictions, meta = learned(images=2, queries=9), metas((64, 96), (200, 31))
    whole = semantic_scores(predictions, 1)
    torch.testing.assert_close(semantic_scores(predictions, 1, budget=2 * 4 * 64 * 96), whole)
    torch.testing.assert_close(semantic_scores(predictions, 1, budget=1), whole)
    for a, b in zip(
        decode_semantic(predictions, meta), decode_semantic(predictions, meta, budget=1), strict=True
    ):
        assert (a == b).float().mean() > 0.999
