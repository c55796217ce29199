"""Models of ADE20K know its stuff, by the authors' configuration, so that segments of a class merge."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import mtvit_core
from mtvit_core.structures.categories import Categories, Category
from mtvit_seg.decoding.panoptic import PanopticRule, decode_panoptic
from mtvit_seg.head import SegPredictions
from mtvit_seg.published.ade20k import ADE20K, ADE20K_STUFF, is_ade20k
from support.tasks.eomt_cases import SIDE, eomt, official
from support.tasks.published_cases import saved

#: Columns of the things, as the authors' data set maps the ids of instances; all others are stuff.
THINGS = {
    7, 8, 10, 12, 14, 15, 18, 19, 20, 22, 23, 24, 27, 30, 31, 32, 33, 35, 36, 37, 38, 39, 41, 42, 43,
    44, 45, 47, 49, 50, 53, 55, 56, 57, 58, 62, 64, 65, 66, 67, 69, 70, 71, 72, 73, 74, 75, 76, 78, 80,
    81, 82, 83, 85, 86, 87, 88, 89, 90, 92, 93, 95, 97, 98, 102, 103, 104, 107, 108, 110, 111, 112, 115,
    116, 118, 119, 120, 121, 123, 124, 125, 126, 127, 129, 130, 132, 133, 134, 135, 136, 137, 138, 139,
    142, 143, 144, 146, 147, 148, 149,
}  # fmt: skip


def test_half_as_many_kinds_of_stuff_as_of_things() -> None:
    assert set(ADE20K_STUFF) == set(range(150)) - THINGS
    assert (len(ADE20K), len(ADE20K_STUFF), len(THINGS)) == (150, 50, 100)
    assert [ADE20K[i].name for i in (0, 2, 12, 44, 127, 149)] == [
        "wall", "sky", "person", "chest of drawers", "bicycle", "flag",
    ]  # fmt: skip


def test_other_words_for_some_classes_are_understood() -> None:
    other = [f"{c.name}, another word" for c in ADE20K]
    other[8], other[37], other[90] = "windowpane", "bathtub", "airplane;plane"
    assert is_ade20k(Categories(tuple(Category(i, name) for i, name in enumerate(other))))
    mine = Categories(tuple(Category(i, f"thing {i}") for i in range(150)))
    assert not is_ade20k(mine)
    assert not is_ade20k(Categories(ADE20K.items[:149]))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_models_of_150_classes(tmp_path: Path, kind: str) -> None:
    theirs = eomt(num_labels=150, num_attention_heads=1)
    path = tmp_path / "model"
    if kind == "folder":
        saved(theirs, path)
    else:
        path = tmp_path / "pytorch_model.bin"
        torch.save(official(theirs), path)
    config = mtvit_core.load(path).task_list[0].config
    assert set(config.stuff) == set(range(150)) - THINGS
    assert config.results == ("instances", "panoptic")


def test_names_of_ones_own_have_no_stuff(tmp_path: Path) -> None:
    saved(eomt(num_labels=150), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    names = {str(i): f"thing {i}" for i in range(150)}
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": names}))
    assert mtvit_core.load(tmp_path).task_list[0].config.stuff == ()


def test_models_of_one_class_per_pixel(tmp_path: Path) -> None:
    """The authors give them 100 queries; transformers splits their images into windows."""
    theirs = eomt(num_labels=150, num_queries=100)
    assert mtvit_core.load(saved(theirs, tmp_path / "ade")).task_list[0].config.results == ("semantic",)
    folder = saved(eomt(num_labels=19), tmp_path / "streets")
    split = {"do_split_image": True, "size": {"shortest_edge": SIDE, "longest_edge": None}}
    (folder / "preprocessor_config.json").write_text(json.dumps(split))
    assert mtvit_core.load(folder).task_list[0].config.results == ("semantic",)


def authors_map(classes: Tensor, masks: Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Class and number of the segment of each pixel by the authors' rule, number 0 for none; of one image."""
    scores, labels = classes.softmax(-1).max(-1)
    probability = F.interpolate(masks[None], size, mode="bilinear", align_corners=False)[0].sigmoid().numpy()
    kept = [q for q in range(len(labels)) if labels[q] != 150 and scores[q] > 0.8]
    label, segment = np.full(size, -1), np.zeros(size, int)
    stuff: dict[int, int] = {}
    if not kept:
        return label, segment
    claims = np.stack([probability[q] * float(scores[q]) for q in kept])
    owner, count = claims.argmax(0), 0
    for place, q in enumerate(kept):
        mine, inside = owner == place, probability[q] >= 0.5
        final = mine & inside
        if not mine.any() or not inside.any() or not final.any() or mine.sum() / inside.sum() < 0.8:
            continue
        class_ = int(labels[q])
        if class_ not in THINGS and class_ in stuff:
            number = stuff[class_]
        else:
            count += 1
            number = count
            stuff[class_] = number
        label[final], segment[final] = class_, number
    return label, segment


def test_segments_are_those_of_the_authors(tmp_path: Path) -> None:
    ours = mtvit_core.load(saved(eomt(num_labels=150), tmp_path))
    task = ours.task_list[0]
    rng = torch.Generator().manual_seed(3)
    merged = 0
    for _ in range(8):
        queries = 12
        logits = torch.randn(1, 1, queries, 151, generator=rng)
        chosen = torch.randint(5, (queries,), generator=rng)  # few classes, so that several are the same
        logits[0, 0, torch.arange(queries), torch.tensor([0, 2, 4, 12, 20])[chosen]] += 12
        owner = torch.randint(queries, (4, 4), generator=rng).repeat_interleave(4, 0).repeat_interleave(4, 1)
        masks = 6 * F.one_hot(owner, queries).permute(2, 0, 1).float() - 3
        masks = (masks + torch.randn(masks.shape, generator=rng))[None, None]
        found = SegPredictions(logits, masks, None, None, (SIDE, SIDE))
        meta = ours.framing.meta(SIDE, SIDE)
        (shown,) = task.variant.panoptic(found, [meta])
        label, segment = authors_map(logits[0, 0], masks[0, 0], (SIDE, SIDE))
        assert np.array_equal(shown.segment_ids.numpy(), segment)
        labels = np.array([-1, *(part.label for part in shown.segments)])
        assert [part.id for part in shown.segments] == list(range(1, len(labels)))
        assert np.array_equal(labels[segment], label)
        alike: dict[int, list[int]] = {}
        for number in range(1, segment.max() + 1):
            alike.setdefault(int(label[segment == number][0]), []).append(number)
        assert all(len(numbers) == 1 for class_, numbers in alike.items() if class_ not in THINGS)
        plain = PanopticRule(frozenset(), 0.8, 0.8)
        (apart,) = decode_panoptic(found, [meta], ours.categories, plain)
        merged += len(apart.segments) - len(shown.segments)
    assert merged > 5
