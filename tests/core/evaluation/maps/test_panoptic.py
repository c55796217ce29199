"""Panoptic quality: derived again pixel by pixel, by COCO's own code where it is installed, and by hand."""

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mtvit_core.evaluation.maps.panoptic import PanopticEvaluator
from mtvit_core.structures.annotations import NO_SEGMENT, TrueSegments
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap
from support.models.segment_cases import CATEGORIES, STUFF, annotate, found_map, random_case, result, true_map

SEEDS = range(40)
Counts = dict[int, list[float]]


def scored(*images: tuple[TrueSegments | None, CategoryMap | None]) -> PanopticEvaluator:
    evaluator = PanopticEvaluator("seg-panoptic", CATEGORIES, STUFF)
    for number, (truth, found) in enumerate(images, start=1):
        meta = ImageMeta.whole(24, 30, number, f"{number}.png")
        evaluator.update([result(found, number)], [annotate(truth)], [meta])
    return evaluator


def pixels(ids: Tensor, number: int) -> set[int]:
    """Places of a segment's pixels."""
    return set((ids.flatten() == number).nonzero()[:, 0].tolist())


def by_hand(truth: TrueSegments, found: CategoryMap) -> Counts:
    """Sum of IoU, TP, FP and FN by label, from sets of pixels."""
    counts: Counts = defaultdict(lambda: [0.0, 0, 0, 0])
    assert found.segment_ids is not None
    unknown = pixels(truth.ids, 0)
    true = [
        (pixels(truth.ids, m + 1), int(label), bool(truth.is_crowd[m]))
        for m, label in enumerate(truth.labels)
    ]
    paired: set[int] = set()
    for segment in found.segments:
        own, partner = pixels(found.segment_ids, segment.id), None
        for m, (theirs, label, crowd) in enumerate(true):
            iou = len(own & theirs) / len((own | theirs) - (own & unknown - theirs))
            if label == segment.label and not crowd and iou > 0.5:
                partner = m
                counts[label][0] += iou
                counts[label][1] += 1
        if partner is not None:
            paired.add(partner)
            continue
        excuse = unknown.union(*(t for t, label, crowd in true if crowd and label == segment.label))
        counts[segment.label][2] += len(own & excuse) / len(own) <= 0.5
    for m, (_, label, crowd) in enumerate(true):
        counts[label][3] += not crowd and m not in paired
    return counts


def quality(counts: Counts, labels: set[int]) -> list[float]:
    """PQ, SQ and RQ."""
    rows = []
    for label in labels:
        iou, tp, fp, fn = counts[label]
        if tp + fp + fn:
            rq = tp / (tp + fp / 2 + fn / 2)
            rows.append((iou / (tp + fp / 2 + fn / 2), iou / tp if tp else 0.0, rq))
    return np.mean(rows, 0).tolist()


def test_the_numbers_are_those_of_sets_of_pixels() -> None:
    cases = [random_case(seed) for seed in SEEDS]
    total: Counts = defaultdict(lambda: [0.0, 0, 0, 0])
    for truth, found in cases:
        for label, row in by_hand(truth, found).items():
            total[label] = [a + b for a, b in zip(total[label], row, strict=True)]
    assert all(min(row[1:]) > 5 for row in total.values())  # every class has pairs, false and missed ones
    assert len(total) == 4
    scores = scored(*cases).compute()
    every, things, stuff = (quality(total, labels) for labels in ({0, 1, 2, 3}, {0, 1}, {2, 3}))
    assert [scores[name] for name in ("PQ", "SQ", "RQ")] == pytest.approx(every, abs=1e-12)
    assert (scores["PQ_things"], scores["PQ_stuff"]) == pytest.approx((things[0], stuff[0]), abs=1e-12)


def test_the_numbers_are_those_of_panopticapi(tmp_path: Path) -> None:
    evaluation = pytest.importorskip("panopticapi.evaluation")
    cases = [random_case(seed) for seed in SEEDS]
    sides = {}
    for side in ("truth", "found"):
        (tmp_path / side).mkdir()
        listed = []
        for number, (truth, found) in enumerate(cases, start=1):
            ids = truth.ids if side == "truth" else found.segment_ids
            labels = truth.labels.tolist() if side == "truth" else [s.label for s in found.segments]
            crowd = truth.is_crowd.tolist() if side == "truth" else [False] * len(labels)
            assert ids is not None
            shade = np.stack([ids.numpy(), 0 * ids.numpy(), 0 * ids.numpy()], -1).astype(np.uint8)
            Image.fromarray(shade).save(tmp_path / side / f"{number}.png")
            infos = [
                {
                    "id": m + 1,
                    "category_id": CATEGORIES[label].id,
                    "iscrowd": int(crowd[m]),
                    "area": int((ids == m + 1).sum()),
                }
                for m, label in enumerate(labels)
            ]
            listed.append({"image_id": number, "file_name": f"{number}.png", "segments_info": infos})
        kinds = [
            {"id": c.id, "name": c.name, "isthing": int(i not in STUFF)} for i, c in enumerate(CATEGORIES)
        ]
        images = [{"id": number} for number in range(1, len(cases) + 1)]
        sides[side] = {"images": images, "annotations": listed, "categories": kinds}
    matched = list(zip(sides["truth"]["annotations"], sides["found"]["annotations"], strict=True))
    kinds = {kind["id"]: kind for kind in sides["truth"]["categories"]}
    (tmp_path / "truth.json").write_text(json.dumps(sides["truth"]))
    statistics = evaluation.pq_compute_single_core(
        0, matched, str(tmp_path / "truth"), str(tmp_path / "found"), kinds
    )
    scores = scored(*cases).compute()
    for isthing, names in ((None, ("PQ", "SQ", "RQ")), (True, ("PQ_things",)), (False, ("PQ_stuff",))):
        average, _ = statistics.pq_average(kinds, isthing=isthing)
        expected = [average[name[:2].lower()] for name in names]
        assert [scores[name] for name in names] == pytest.approx(expected, abs=1e-12)


def test_the_truth_itself_is_perfect() -> None:
    ids = torch.tensor([[1, 1, 2, 2], [3, 3, 3, 0]])
    scores = scored((true_map(ids, [0, 0, 2]), found_map(ids, [0, 0, 2]))).compute()
    assert scores == {"PQ": 1.0, "SQ": 1.0, "RQ": 1.0, "PQ_things": 1.0, "PQ_stuff": 1.0}


def test_half_is_no_pair() -> None:
    truth, found = torch.tensor([[1, 1, 1, NO_SEGMENT]]), torch.tensor([[0, 1, 1, 1]])
    assert scored((true_map(truth, [0]), found_map(found, [0]))).compute()["PQ"] == 0
    more = torch.tensor([[0, 1, 1, 0]])
    assert scored((true_map(truth, [0]), found_map(more, [0]))).compute()["PQ"] == pytest.approx(2 / 3)


def test_a_thing_in_the_background_is_false_and_one_in_the_unknown_is_not() -> None:
    found = found_map(torch.tensor([[0, 1, 1, 1]]), [0])
    for ids, false in (([[1, -1, -1, -1]], 1), ([[1, 0, 0, 0]], 0), ([[1, 0, -1, -1]], 1)):
        (counts,) = scored((true_map(torch.tensor(ids), [0]), found)).counts
        assert (counts[0].false, counts[0].missed) == (false, 1)


def test_a_class_that_nobody_annotated_counts_nowhere() -> None:
    truth = true_map(torch.full((1, 4), NO_SEGMENT), [])
    truth.known[1] = False
    found = found_map(torch.tensor([[1, 1, 2, 2]]), [1, 0])
    (counts,) = scored((truth, found)).counts
    assert {label: one.false for label, one in counts.items()} == {0: 1}


def test_a_result_without_the_map_says_nothing() -> None:
    (counts,) = scored((true_map(torch.ones(4, 4, dtype=torch.int64), [0]), None)).counts
    assert counts[0].missed == 1


def test_details_list_groups_classes_and_images() -> None:
    cases = [random_case(seed) for seed in range(3)]
    evaluator = scored(*cases)
    told, scores = evaluator.details(0.3), evaluator.compute()
    groups, classes = told.tables
    assert [row[0] for row in groups.rows] == ["all", "things", "stuff"]
    assert groups.rows[0][2:] == (scores["PQ"], scores["SQ"], scores["RQ"])
    assert np.mean([row[1] for row in classes.rows]) == pytest.approx(scores["PQ"])
    assert len(classes.rows) == groups.rows[0][1]
    assert {one.image_id for one in told.mistakes} <= {1, 2, 3}
    assert sum(one.false for one in told.mistakes) == sum(row[5] for row in classes.rows)
    assert [one.total for one in told.mistakes] == sorted((one.total for one in told.mistakes), reverse=True)


def test_nothing_labelled_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in scored((None, random_case(0)[1])).compute().values())
