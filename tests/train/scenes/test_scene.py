"""Scenes: the same bytes every time, and labels that agree with the pixels."""

from collections import Counter
from dataclasses import astuple
from itertools import chain

import numpy as np
import pytest
from numpy.typing import NDArray

from mtvit_core.errors import DataError
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_train.scenes.figure import label_canvas
from mtvit_train.scenes.layout import LARGEST, SMALLEST, Placed, random_layout
from mtvit_train.scenes.scene import CATEGORIES, DEPTH_UNIT, Scene, render_scene

PERSON = 1


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(3, index, 96) for index in range(200)]


def test_a_scene_is_the_same_each_time() -> None:
    once, again = render_scene(5, 9, 80), render_scene(5, 9, 80)
    for left, right in zip(astuple(once), astuple(again), strict=True):
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()


def test_scenes_stay_what_published_models_were_trained_on() -> None:
    scene = render_scene(0, 0, 128)
    boxes = [[38, 101, 20, 17], [13, 18, 33, 36], [52, 36, 28, 50], [69, 10, 37, 38]]
    assert scene.category_ids.tolist() == [8, 3, 1, 8]
    assert scene.boxes_xywh.tolist() == boxes
    assert scene.masks.sum(axis=(1, 2)).tolist() == [194, 692, 677, 872]
    np.testing.assert_allclose(scene.image.mean(axis=(0, 1)), [72.06, 102.89, 86.48], atol=0.02)


@pytest.mark.parametrize("other", [(6, 9, "train"), (5, 10, "train"), (5, 9, "val")])
def test_seed_index_and_split_each_give_another_scene(other: tuple[int, int, str]) -> None:
    seed, index, split = other
    assert (render_scene(5, 9, 80).image != render_scene(seed, index, 80, split).image).mean() > 0.5


def test_size_changes_only_the_resolution() -> None:
    for index in range(20):
        small, large = render_scene(8, index, 128), render_scene(8, index, 384)
        assert small.category_ids.tolist() == large.category_ids.tolist()
        np.testing.assert_allclose(small.boxes_xywh * 3, large.boxes_xywh, atol=6.5)
        both = (small.keypoints[..., 2] > 0) & (large.keypoints[..., 2] > 0)
        np.testing.assert_allclose(small.keypoints[both][:, :2] * 3, large.keypoints[both][:, :2], atol=0.05)
        coarse = large.image.reshape(128, 3, 128, 3, 3).mean(axis=(1, 3))
        assert np.abs(coarse - small.image).mean() < 8


def test_types_and_shapes(scenes: list[Scene]) -> None:
    for scene in scenes:
        count = len(scene.category_ids)
        assert (scene.image.dtype, scene.image.shape) == (np.uint8, (96, 96, 3))
        assert (scene.category_ids.dtype, scene.category_ids.shape) == (np.int64, (count,))
        assert (scene.boxes_xywh.dtype, scene.boxes_xywh.shape) == (np.float32, (count, 4))
        assert (scene.masks.dtype, scene.masks.shape) == (np.bool_, (count, 96, 96))
        assert (scene.keypoints.dtype, scene.keypoints.shape) == (np.float32, (count, 17, 3))
        assert (scene.depth.dtype, scene.depth.shape) == (np.float32, (96, 96))


def test_boxes_are_tight_and_masks_disjoint(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.masks.sum(axis=0).max() == 1
        for mask, box in zip(scene.masks, scene.boxes_xywh, strict=True):
            rows, columns = np.nonzero(mask)
            left, top = columns.min(), rows.min()
            assert box.tolist() == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]


def test_keypoints_agree_with_masks(scenes: list[Scene]) -> None:
    flags: Counter[int] = Counter()
    for scene in scenes:
        for kind, mask, points in zip(scene.category_ids, scene.masks, scene.keypoints, strict=True):
            if kind != PERSON:
                assert not points.any()
                continue
            flags.update(points[:, 2].astype(int).tolist())
            assert not points[points[:, 2] == 0].any()
            labelled = points[points[:, 2] > 0]
            assert (labelled[:, :2] >= 0).all()
            assert (labelled[:, :2] < 96).all()
            columns, rows, _ = points[points[:, 2] == 2].astype(int).T
            assert mask[rows, columns].all()
    assert set(flags) == {0, 1, 2}
    assert 0.6 < flags[2] / flags.total() < 0.85


def test_joints_behind_another_object_are_not_seen(scenes: list[Scene]) -> None:
    covered = 0
    for scene in scenes:
        owner = scene.masks.argmax(axis=0)
        for row in np.flatnonzero(scene.category_ids == PERSON):
            labelled = scene.keypoints[row][scene.keypoints[row, :, 2] > 0]
            for x, y, flag in labelled:
                if owner[int(y), int(x)] > row:
                    covered += 1
                    assert flag == 1
    assert covered > 50


def test_faces_show_only_from_the_front() -> None:
    eyes: Counter[tuple[int, ...]] = Counter()
    for scene in (render_scene(4, index, 128) for index in range(150)):
        for points in scene.keypoints[scene.category_ids == PERSON]:
            eyes[tuple(points[[1, 2], 2].astype(int).tolist())] += 1
    assert min(eyes[2, 2], eyes[1, 1], eyes[1, 2] + eyes[2, 1]) >= 10


def test_counts_and_classes(scenes: list[Scene]) -> None:
    counts = Counter(len(scene.category_ids) for scene in scenes)
    assert set(counts) == {1, 2, 3, 4, 5}
    kinds = Counter(chain.from_iterable(scene.category_ids.tolist() for scene in scenes))
    assert set(kinds) == {category["id"] for category in CATEGORIES}
    assert min(kinds.values()) >= 40
    assert 0.4 <= np.mean([PERSON in scene.category_ids for scene in scenes]) <= 0.55


def test_sizes_before_and_after_occlusion(scenes: list[Scene]) -> None:
    for index in range(200):
        for placed in random_layout(np.random.default_rng(index)).objects:
            points = np.concatenate([part.outline for part in placed.figure.parts])
            assert np.ptp(points, axis=0).max() == pytest.approx(1, abs=1e-4)
            assert SMALLEST <= placed.side <= LARGEST
    longer = np.concatenate([scene.boxes_xywh[:, 2:].max(axis=1) for scene in scenes]) / 96
    assert longer.max() <= 0.5 + 2 / 96
    assert np.mean(longer >= 1 / 8 - 1 / 96) > 0.97


def _cover(placed: Placed) -> NDArray[np.bool_]:
    """The figure's pixels in an image of 192 x 192, whatever lies in front."""
    centre = (placed.x * 192, placed.y * 192)
    return label_canvas(placed.figure, placed.side * 192, centre, (192, 192)) > 0


def test_every_object_keeps_enough_visible_pixels() -> None:
    for index in range(60):
        layout = random_layout(np.random.default_rng(index))
        covers = [_cover(placed) for placed in layout.objects]
        for row, cover in enumerate(covers):
            hidden = np.any(covers[row + 1 :], axis=0) if covers[row + 1 :] else np.zeros_like(cover)
            assert (cover & ~hidden).sum() >= 0.3 * cover.sum()


def test_depth_orders_objects(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.depth.min() >= 0
        assert scene.depth.max() <= 1
        depths = [float(scene.depth[mask][0]) for mask in scene.masks]
        assert depths == sorted(depths, reverse=True)
        assert all(np.ptp(scene.depth[mask]) == 0 for mask in scene.masks)
        ground = ~scene.masks.any(axis=0)
        assert scene.depth[ground].min() > depths[0]


def test_categories_are_coco_entries() -> None:
    person, *shapes = CATEGORIES
    assert (person["id"], person["name"]) == (PERSON, "person")
    assert person["keypoints"] == list(COCO_PERSON.names)
    assert person["skeleton"][0] == [16, 14]
    assert {end for bone in person["skeleton"] for end in bone} == set(range(1, 18))
    assert [shape["name"] for shape in shapes] == [
        "disc",
        "square",
        "triangle",
        "star",
        "ring",
        "cross",
        "heart",
    ]
    assert [shape["id"] for shape in shapes] == list(range(2, 9))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((-1, 0, 128), "scenes: seed is -1; give a whole number from 0 to 4294967295."),
        ((0, 2**32, 128), "scenes: index is 4294967296; give a whole number from 0 to 4294967295."),
        ((0, 0, 63), "scenes: size is 63; give a whole number from 64 to 1024."),
        ((0, 0, 1025), "scenes: size is 1025; give a whole number from 64 to 1024."),
    ],
)
def test_numbers_out_of_range(numbers: tuple[int, int, int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        render_scene(*numbers)
    assert str(caught.value) == message


def test_classes_of_pixels_are_those_of_the_masks(scenes: list[Scene]) -> None:
    place_of = {category["id"]: number for number, category in enumerate(CATEGORIES, start=1)}
    for scene in scenes[:40]:
        expected = np.zeros(scene.semantic.shape, np.uint8)
        for mask, id_ in zip(scene.masks, scene.category_ids.tolist(), strict=True):
            expected[mask] = place_of[id_]
        assert (scene.semantic == expected).all()


def test_normals_are_those_of_the_depth(scenes: list[Scene]) -> None:
    leaning = 0
    for scene in scenes[:40]:
        np.testing.assert_allclose(np.linalg.norm(scene.normals, axis=0), 1, rtol=1e-6)
        objects = scene.masks.any(0)
        assert (scene.normals[:, objects] == np.array([[0], [0], [1]])).all()
        down, across = np.gradient(scene.depth.astype(np.float64) * DEPTH_UNIT * len(scene.depth))
        vectors = np.stack([across, -down, np.ones_like(down)])
        vectors /= np.linalg.norm(vectors, axis=0)
        inner = np.zeros_like(objects)
        inner[1:-1, 1:-1] = True
        smooth = ~objects & inner & (np.abs(scene.depth - 0.825) < 0.17)  # neither cut near nor far
        for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            smooth &= ~np.roll(objects, shift, (0, 1))
        assert np.abs(vectors - scene.normals)[:, smooth].max(initial=0) < 2e-3
        leaning += int((scene.normals[2][smooth] < 0.98).sum())
    assert leaning > 1000
