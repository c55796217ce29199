"""Instances: the paper's rule derived again by hand, chunks, sizes, and perfect predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_core.structures.masks import Rle, decode_rle, encode_rle
from mtvit_seg.decoding.extent import mask_boxes
from mtvit_seg.decoding.instances import decode_instances
from mtvit_seg.decoding.mask_runs import find_runs
from mtvit_seg.decoding.mask_sheet import Place, Sheet, sheets
from mtvit_seg.decoding.resize import at_original
from mtvit_seg.head import SegPredictions
from support.tasks.seg_cases import CATEGORIES, annotate, blobs, learned, metas, picked, task


def resized(logits: Tensor, canvas: tuple[int, int], meta: ImageMeta) -> Tensor:
    """The way of one mask h w to the original image."""
    rows, columns = meta.content
    big = F.interpolate(logits[None, None], canvas, mode="bilinear")[:, :, :rows, :columns]
    return F.interpolate(big, (meta.height, meta.width), mode="bilinear")[0, 0]


@pytest.mark.parametrize("variant", ["eomt", "picked"])
def test_instances_follow_the_papers_rule(variant: str) -> None:
    predictions = (learned if variant == "eomt" else picked)(layers=1, images=2)
    meta = metas((50, 60), (30, 90))
    found = task(variant=variant, top_k=10, nms=1.0).decode(predictions, meta)
    for image, at in enumerate(meta):
        logits = predictions.logits[0, image].detach()
        scores = logits.softmax(-1)[:, :-1] if variant == "eomt" else logits.sigmoid()
        pairs = [(scores[q, c].item(), q, c) for q in range(6) for c in range(3)]
        expected = []
        for score, query, label in sorted(pairs, reverse=True)[:10]:
            mask = resized(predictions.mask_logits[0, image, query].detach(), (64, 96), at)
            inside = mask > 0
            quality = mask.sigmoid()[inside].sum() / (inside.sum() + 1e-6)
            rows, columns = inside.nonzero(as_tuple=True)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            expected.append((score * quality.item(), label, [int(edge) for edge in box], inside))
        expected.sort(key=lambda entry: -entry[0])
        result = found[image]
        assert (result.height, result.width, result.image_id) == (at.height, at.width, at.image_id)
        assert result.scores.tolist() == pytest.approx([entry[0] for entry in expected], abs=1e-5)
        assert result.instances.labels.tolist() == [entry[1] for entry in expected]
        assert result.boxes.tolist() == [entry[2] for entry in expected]
        assert torch.equal(result.masks, torch.stack([entry[3] for entry in expected]))
        assert set(result.tasks) == {"seg"}


def test_chunks_change_nothing() -> None:
    logits = torch.randn(7, 16, 24)
    meta = Letterbox(64, 96).meta(100, 130)
    whole = list(at_original(logits, (64, 96), meta, budget=2**30))
    chunks = list(at_original(logits, (64, 96), meta, budget=3 * 4 * (64 * 96 + 100 * 130)))
    single = list(at_original(logits, (64, 96), meta, budget=1))
    assert [len(part) for part in chunks] == [3, 3, 1]
    assert [len(part) for part in single] == [1] * 7
    torch.testing.assert_close(torch.cat(chunks), whole[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(single), whole[0], atol=1e-5, rtol=0)


def test_masks_without_a_pixel_are_left_out() -> None:
    predictions = learned()
    with torch.no_grad():
        predictions.mask_logits[0, 0, :4] = -5.0
    found = decode_instances(predictions, metas((40, 40)), CATEGORIES, top_k=100)[0]
    assert len(found) == 6
    assert found.masks.flatten(1).any(1).all()
    with torch.no_grad():
        predictions.mask_logits.fill_(-5.0)
    assert len(decode_instances(predictions, metas((40, 40)), CATEGORIES, top_k=100)[0]) == 0


def test_threshold_moves_the_border() -> None:
    predictions = learned()
    wide = task(variant="eomt").decode(predictions, metas((64, 96)))[0]
    narrow = task(variant="eomt", mask_threshold=2.0).decode(predictions, metas((64, 96)))[0]
    assert 0 < narrow.masks.sum() < wide.masks.sum()


def test_decoding_a_batch_is_decoding_its_images() -> None:
    predictions = learned(images=3)
    meta = metas((64, 96), (50, 40), (20, 30))
    together = task(variant="eomt").decode(predictions, meta)
    for image, at in enumerate(meta):
        rows = slice(image, image + 1)
        masks = predictions.mask_logits[:, rows]
        one = replace(predictions, logits=predictions.logits[:, rows], mask_logits=masks)
        alone = task(variant="eomt").decode(one, [at])[0]
        assert torch.equal(alone.scores, together[image].scores)
        assert torch.equal(alone.instances.labels, together[image].instances.labels)
        assert alone.rles == together[image].rles


def perfect(annotations: list[Annotations], queries: int) -> SegPredictions:
    """Queries that know the masks, on a map as fine as the canvas."""
    images = len(annotations)
    logits = torch.full((1, images, queries, 4), 0.0)
    logits[..., 3] = 12.0
    masks = torch.full((1, images, queries, 64, 96), -12.0)
    for image, annotation in enumerate(annotations):
        assert annotation.masks is not None
        for row, label in enumerate(annotation.labels.tolist()):
            query = queries - 1 - row
            logits[0, image, query, 3], logits[0, image, query, label] = 0.0, 12.0
            masks[0, image, query] = 24.0 * annotation.masks[row] - 12.0
    return SegPredictions(logits, masks, None, None, (64, 96))


def test_perfect_predictions_give_the_masks_back_and_ap_1() -> None:
    annotations = []
    for labels in ([0, 1], [2], [1, 1, 0]):
        masks = blobs(len(labels), 64, 96)
        annotations.append(replace(annotate(masks, labels), boxes=mask_boxes(masks)))
    seg, meta = task(variant="eomt"), metas((64, 96), (64, 96), (64, 96))
    found = seg.decode(perfect(annotations, queries=5), meta)
    for result, annotation in zip(found, annotations, strict=True):
        best = result[result.scores > 0.9]
        assert len(best) == len(annotation)
        assert annotation.masks is not None
        assert {rle.counts for rle in best.rles if rle is not None} == {
            rle.counts for rle in found_rles(annotation.masks)
        }
        assert np.array_equal(decode_rle(found_rles(annotation.masks)[0]), annotation.masks[0].numpy())
    evaluator = seg.evaluator()
    evaluator.update(found, annotations, meta)
    assert evaluator.compute()["AP"] == pytest.approx(1.0)


def found_rles(masks: Tensor) -> list[Rle]:

    return [encode_rle(mask.numpy()) for mask in masks]


def test_boxes_of_masks_lie_on_pixel_edges() -> None:
    masks = torch.zeros(3, 10, 12, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[1, 9, 11] = True
    assert mask_boxes(masks).tolist() == [[3, 2, 9, 5], [11, 9, 12, 10], [0, 0, 0, 0]]
    assert mask_boxes(masks[:0]).shape == (0, 4)


def parts_of(sheet: Sheet) -> list[tuple[Tensor, tuple[slice, slice]]]:
    """Each part of a sheet, rows first, and the rows and columns of the image where it is from."""
    at, parts = sheet.place, []
    for i, (begin, end) in enumerate(zip(sheet.start[:-1], sheet.start[1:], strict=True)):
        top, left, height, width = (int(each[i]) for each in (at.top, at.left, at.height, at.width))
        assert end - begin == width * (height + 1)
        columns = sheet.logits[begin:end].view(width, height + 1)
        assert bool((columns[:, -1] == -torch.inf).all())
        parts.append((columns[:, :-1].T, (slice(top, top + height), slice(left, left + width))))
    return parts


@pytest.mark.parametrize("size", [(64, 96), (50, 60), (200, 31), (7, 140)])
@pytest.mark.parametrize("threshold", [0.0, 1.0, -4.0])
@pytest.mark.parametrize("pixels", [1, 1000, 2**20])
def test_sheets_hold_the_masks_where_they_are(size: tuple[int, int], threshold: float, pixels: int) -> None:
    logits = torch.full((9, 16, 24), -3.0)
    for mask in logits:
        top, left = int(torch.randint(0, 14, ())), int(torch.randint(0, 20, ()))
        mask[top : top + 3, left : left + 5] = 3 * torch.randn(16, 24)[top : top + 3, left : left + 5]
    logits[4] = -9.0
    meta = Letterbox(64, 96).meta(*size)
    whole = torch.cat(list(at_original(logits, (64, 96), meta)))
    chosen = [7, 0, 4, 3, 8]
    found = list(sheets(logits, chosen, (64, 96), meta, threshold, pixels))
    for sheet in found:
        assert sheet.logits[0] == -torch.inf
        assert len(sheet.logits) == sheet.start[-1]
        assert len(sheet.logits) <= pixels + 1 or len(sheet.place.top[sheet.place.width > 0]) == 1
    parts = [part for sheet in found for part in parts_of(sheet)]
    for mask, (part, at) in zip(whole[chosen], parts, strict=True):
        pasted = torch.full_like(mask, -torch.inf)
        pasted[at] = part
        torch.testing.assert_close(part, mask[at], atol=1e-5, rtol=1e-5)
        assert torch.equal(pasted > threshold, mask > threshold)


def test_parts_of_small_masks_are_small() -> None:
    logits = torch.full((1, 16, 24), -3.0)
    logits[0, 5:7, 8:11] = 3.0
    (sheet,) = sheets(logits, [0], (64, 96), Letterbox(64, 96).meta(128, 192), 0.0)
    # Two rows and three columns of 8 pixels, and at most 8 pixels on each side that a bilinear step reaches.
    assert sheet.place.width[0] <= 3 * 8 + 16
    assert sheet.place.height[0] <= 2 * 8 + 16


def laid(masks: Tensor, boxes: list[tuple[int, int, int, int]]) -> Sheet:
    """A sheet of parts top, left, bottom, right of masks, with logits of 1 inside and -1 outside."""
    top, left, bottom, right = np.array(boxes).T
    pixels = [torch.tensor([-torch.inf])]
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        pixels.append(F.pad(2.0 * mask[y0:y1, x0:x1].T - 1, (0, 1), value=-torch.inf).flatten())
    start = np.cumsum([len(part) for part in pixels])
    return Sheet(torch.cat(pixels), Place(top, left, bottom - top, right - left), start)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_runs_of_parts_are_those_of_whole_masks(density: float) -> None:
    boxes = [(0, 0, 9, 7), (2, 1, 5, 6), (4, 4, 4, 4), (8, 6, 9, 7), (0, 0, 9, 7), (3, 3, 3, 3)]
    boxes += [(5, 1, 9, 3), (0, 3, 9, 4)]  # the second may begin where the first ends, and is no part of it
    for _ in range(20):
        masks = torch.zeros(len(boxes), 9, 7, dtype=torch.bool)
        for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = torch.rand(bottom - top, right - left) < density
        sheet = laid(masks, boxes)
        runs = find_runs(sheet, 0.0, (9, 7))
        wanted = [encode_rle(mask.numpy()) if mask.any() else None for mask in masks]
        assert runs.to_rles() == wanted
        assert runs.areas.tolist() == masks.sum((1, 2)).tolist()
        assert runs.boxes.tolist() == mask_boxes(masks).tolist()
        values = torch.rand(len(sheet.logits))
        inside = values * (sheet.logits > 0)
        sums = [float(inside[a:b].sum()) for a, b in zip(sheet.start[:-1], sheet.start[1:], strict=True)]
        assert runs.sums(values.numpy()).tolist() == pytest.approx(sums, abs=1e-5)
