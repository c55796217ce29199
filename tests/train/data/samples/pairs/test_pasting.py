"""Pasted objects: pixels, boxes, masks, keypoints and dense labels of both images stay true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.data.samples.pairs.pasting import Donors, Paste, paste
from mtvit_train.scenes.writer import write_scenes

NEEDS = frozenset({"boxes", "masks", "keypoints"})
HERE, THERE = torch.zeros(3, 20, 30, dtype=torch.uint8), torch.full((3, 20, 30), 200, dtype=torch.uint8)


def one_object(box: tuple[int, int, int, int], has: frozenset[str] = NEEDS) -> Annotations:
    """One object that fills its box, with a keypoint in the middle of it and a dense label of its column."""
    x0, y0, x1, y1 = box
    mask = torch.zeros(1, 20, 30, dtype=torch.bool)
    mask[:, y0:y1, x0:x1] = True
    point = torch.tensor([[[(x0 + x1) / 2, (y0 + y1) / 2, 2.0], [0.0, 0.0, 0.0]]])
    return Annotations(
        boxes=torch.tensor([box]).float(),
        labels=torch.tensor([1]),
        masks=mask,
        keypoints=point,
        is_crowd=torch.tensor([False]),
        areas=mask.flatten(1).sum(1).float(),
        ids=torch.tensor([7]),
        has=has,
        maps={"depth": torch.full((20, 30), float(x0))},
    )


def test_a_pasted_object_brings_its_pixels_and_labels_to_its_place() -> None:
    ours, theirs = one_object((0, 0, 4, 4)), one_object((20, 10, 26, 18))
    image, found = paste(HERE, ours, THERE, theirs, Paste(0, 0.0, 1.0, 0.5), frozenset({1}))
    assert found.boxes.tolist() == [[0, 0, 4, 4], [12, 12, 18, 20]]
    assert found.masks is not None
    assert torch.equal(image[0] == 200, found.masks[1])
    assert found.masks[1].sum() == 48
    assert found.keypoints is not None
    assert found.keypoints[1].tolist() == [[15, 16, 2], [0, 0, 0]]
    assert found.maps["depth"][13, 13] == 20
    assert found.maps["depth"][0, 0] == 0
    assert found.areas.tolist() == [16, 48]


def test_what_lies_beneath_shrinks_hides_its_keypoints_and_goes_when_little_is_left() -> None:
    ours, theirs = one_object((0, 0, 10, 10)), one_object((20, 10, 28, 20))
    _, found = paste(HERE, ours, THERE, theirs, Paste(0, 0.0, 0.0, 0.0), frozenset({1}))
    assert found.boxes[0].tolist() == [8, 0, 10, 10]
    assert found.areas[0] == 20
    assert found.keypoints is not None
    assert found.keypoints[0, 0].tolist() == [5, 5, 1]
    _, found = paste(HERE, one_object((0, 0, 7, 9)), THERE, theirs, Paste(0, 0.0, 0.0, 0.0), frozenset({1}))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("theirs", "labels"),
    [
        (one_object((20, 10, 26, 18), frozenset({"boxes", "masks"})), {1}),
        (one_object((20, 10, 26, 18)), {0}),
        (replace(one_object((20, 10, 26, 18)), is_crowd=torch.tensor([True])), {1}),
        (replace(one_object((20, 10, 26, 18)), maps={}), {1}),
    ],
)
def test_an_object_that_says_less_or_is_not_asked_for_stays_away(
    theirs: Annotations, labels: set[int]
) -> None:
    ours = one_object((0, 0, 4, 4))
    image, found = paste(HERE, ours, THERE, theirs, Paste(0, 0.0, 0.0, 0.0), frozenset(labels))
    assert found is ours
    assert image is HERE


def test_an_object_stays_away_where_its_category_is_not_annotated() -> None:
    ours = replace(one_object((0, 0, 4, 4)), annotated=torch.tensor([True, False]))
    _, found = paste(HERE, ours, THERE, one_object((20, 10, 26, 18)), Paste(0, 0, 0, 0), frozenset({1}))
    assert found is ours


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> PackedAnnotations:
    root: Path = tmp_path_factory.mktemp("scenes")
    write_scenes(root / "data", train=30, val=1, seed=0, size=64)
    return read_coco(root / "data", "train")


def test_samples_hold_more_people_and_are_the_same_each_time(scenes: PackedAnnotations) -> None:
    config = AugmentConfig(paste=1.0, paste_categories=("person",))
    person = [category.name for category in scenes.categories].index("person")
    made = [ImageDataset(scenes, Letterbox(64, 64), needs=NEEDS, augment=config) for _ in range(2)]
    plain = ImageDataset(scenes, Letterbox(64, 64), needs=NEEDS, augment=AugmentConfig())
    people = [0, 0]
    for index in range(30):
        one, again, alone = made[0][2, index], made[1][2, index], plain[2, index]
        assert torch.equal(one.image, again.image)
        people[0] += int((one.annotations.labels == person).sum())
        people[1] += int((alone.annotations.labels == person).sum())
    assert people[0] > people[1] + 15


def test_masks_are_read_for_pasting_and_not_handed_on_where_no_task_wants_them(
    scenes: PackedAnnotations,
) -> None:
    config, needs = AugmentConfig(paste=1.0), frozenset({"boxes"})
    made = ImageDataset(scenes, Letterbox(64, 64), needs=needs, augment=config)[0, 0].annotations
    plain = ImageDataset(scenes, Letterbox(64, 64), needs=needs, augment=AugmentConfig())[0, 0].annotations
    assert made.masks is None
    assert made.has == plain.has
    assert len(made) != len(plain) or not torch.equal(made.boxes, plain.boxes)


@pytest.mark.parametrize(
    ("config", "needs", "words"),
    [
        (AugmentConfig(paste=1.0, paste_categories=("persn",)), NEEDS, "Did you mean 'person'"),
        (AugmentConfig(paste=1.0), NEEDS | {"image_labels"}, "what whole images show; set it to 0"),
    ],
)
def test_what_cannot_be_pasted_is_refused(
    scenes: PackedAnnotations, config: AugmentConfig, needs: frozenset[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Donors.among(scenes, config, needs)


def test_nothing_is_drawn_below_the_share_and_no_setting_moves_the_draws(scenes: PackedAnnotations) -> None:
    donors = Donors.among(scenes, AugmentConfig(paste=1.0), NEEDS)
    drawn = [donors.draw(np.random.default_rng(i), 0.3) for i in range(300)]
    always = [donors.draw(np.random.default_rng(i), 1.0) for i in range(300)]
    assert sum(one is not None for one in drawn) / 300 == pytest.approx(0.3, abs=0.08)
    assert all(one is None or one == other for one, other in zip(drawn, always, strict=True))
