"""Annotations on the canvas: boxes, masks and keypoints tell the same story after every change."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mtvit_core.structures.annotations import swap_sides
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import Letterbox
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_train.data.packed import ALL_KINDS
from mtvit_train.data.samples.augment import AugmentConfig, draw_placement
from mtvit_train.data.samples.placed_annotations import may_flip, place_annotations, place_keypoints
from mtvit_train.data.samples.placement import Placement
from support.training import shapes_data

WIDE = AugmentConfig(scale=(0.4, 2.5))
PERSON, BOX, CRAB = range(3)


def random_scene(seed):
    """Three people as ellipses with keypoints on them, and a random placement."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(40, 90, 2))
    masks = [shapes_data.blob(rng, height, width) for _ in range(3)]
    keypoints = np.zeros((3, 4, 3))
    for row, mask in enumerate(masks):
        keypoints[row, :3] = shapes_data.points_inside(rng, mask, 3)
    packed = shapes_data.pack(masks, [PERSON] * 3, keypoints)
    canvas = Letterbox(*(int(side) for side in rng.integers(40, 90, 2)))
    return packed, draw_placement(rng, WIDE, (height, width), canvas, may_flip=True)


@pytest.mark.parametrize("seed", range(60))
def test_boxes_lie_around_their_masks(seed):
    packed, placement = random_scene(seed)
    placed = place_annotations(packed, 0, placement, ALL_KINDS)
    pixel = max(1.0, *placement.scale)  # one pixel of the canvas, or of the image where that is larger
    for box, mask in zip(placed.boxes, placed.masks, strict=True):
        around = torch.tensor(shapes_data.tight_box(mask.numpy()), dtype=torch.float32)
        assert (box - around).abs().max() <= pixel


@pytest.mark.parametrize("seed", range(60))
def test_what_is_left_lies_in_the_image_and_has_an_area(seed):
    packed, placement = random_scene(seed)
    placed = place_annotations(packed, 0, placement, ALL_KINDS)
    rows, columns = placement.content
    assert (placed.boxes >= 0).all()
    assert (placed.boxes[:, 2] <= columns).all()
    assert (placed.boxes[:, 3] <= rows).all()
    assert not placed.masks[:, rows:].any()
    assert not placed.masks[:, :, columns:].any()
    assert torch.equal(placed.areas, placed.masks.sum((1, 2)).float())
    assert (placed.areas > 0).all()


@pytest.mark.parametrize("seed", range(60))
def test_keypoints_stay_on_their_masks_or_lose_their_label(seed):
    packed, placement = random_scene(seed)
    placed = place_annotations(packed, 0, placement, ALL_KINDS)
    rows, columns = placement.content
    original = packed.original(0)
    kept = [original.ids.tolist().index(number) for number in placed.ids.tolist()]
    for row, mask, points in zip(kept, placed.masks, placed.keypoints, strict=True):
        # The mask and one pixel around it.
        near = F.max_pool2d(mask[None].float(), 3, 1, 1)[0]
        moved = placement.points(original.keypoints[row, :3, :2])
        inside = ((moved >= 0) & (moved < torch.tensor([columns, rows]))).all(1)
        order = [0, 2, 1] if placement.flip else [0, 1, 2]
        for place, source in enumerate(order):
            x, y, visibility = points[place].tolist()
            if inside[source]:
                assert visibility == original.keypoints[row, source, 2]
                assert near[int(y), int(x)]
            else:
                assert (x, y, visibility) == (0, 0, 0)
        assert (points[3] == 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_two_flips_change_nothing(seed):
    packed, _ = random_scene(seed)
    size = tuple(packed.sizes[0].tolist())
    canvas = Letterbox(*size)
    once = place_annotations(packed, 0, Placement.letterbox(*size, canvas, flip=True), ALL_KINDS)
    again = shapes_data.pack(
        list(once.masks.numpy()), once.labels.tolist(), once.keypoints.numpy(), once.boxes.tolist()
    )
    twice = place_annotations(again, 0, Placement.letterbox(*size, canvas, flip=True), ALL_KINDS)
    original = packed.original(0)
    assert torch.equal(twice.masks, original.masks)
    assert torch.equal(twice.boxes, original.boxes)
    assert torch.equal(twice.keypoints, original.keypoints)
    assert not torch.equal(once.masks, original.masks)


def test_two_flips_of_an_image_change_nothing():
    image = torch.randint(0, 256, (3, 13, 17), dtype=torch.uint8)
    flip = Placement.letterbox(13, 17, Letterbox(13, 17), flip=True)
    assert torch.equal(flip.window(flip.window(image)), image)


def test_the_identity_keeps_annotations_as_they_are():
    packed, _ = random_scene(0)
    size = tuple(packed.sizes[0].tolist())
    placed = place_annotations(packed, 0, Placement.letterbox(*size, Letterbox(*size)), ALL_KINDS)
    original = packed.original(0)
    for field in ("boxes", "labels", "masks", "keypoints", "is_crowd", "areas", "ids"):
        assert torch.equal(getattr(placed, field), getattr(original, field))
    assert placed.has == original.has


def test_a_flip_swaps_left_and_right_of_a_person():
    mask = np.ones((10, 20), bool)
    points = np.zeros((1, 4, 3))
    points[0, :3] = [[5, 5, 2], [4, 4, 2], [6, 4, 1]]  # nose, left eye, right eye
    packed = shapes_data.pack([mask], [PERSON], points)
    flip = Placement.letterbox(10, 20, Letterbox(10, 20), flip=True)
    placed = place_annotations(packed, 0, flip, ALL_KINDS).keypoints
    assert placed[0].tolist() == [[15, 5, 2], [14, 4, 1], [16, 4, 2], [0, 0, 0]]


def test_each_category_swaps_by_its_own_schema():
    bird = KeypointSchema(("left_wing", "beak", "right_wing"), flip_pairs=((0, 2),))
    categories = Categories(
        (Category(1, "person", COCO_PERSON), Category(2, "bird", bird), Category(3, "rock"))
    )
    keypoints = torch.arange(3 * 17.0)[:, None].expand(-1, 3).reshape(3, 17, 3)
    swapped = swap_sides(keypoints, torch.tensor([1, 0, 2]), categories)[..., 0]
    assert swapped[0].tolist() == [2, 1, 0, *range(3, 17)]
    assert swapped[1].tolist() == [17 + i for i in (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)]
    assert swapped[2].tolist() == list(range(34, 51))


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [([], True), ([BOX], True), ([PERSON, BOX], True), ([CRAB], False), ([BOX, CRAB], False)],
)
def test_images_with_unknown_sides_are_never_mirrored(labels, allowed):
    assert may_flip(torch.tensor(labels, dtype=torch.int64), shapes_data.CATEGORIES) is allowed


def test_keypoints_on_the_border_belong_to_the_image_at_the_left_and_the_top_only():
    points = torch.tensor([[[0.0, 0.0, 2.0], [20.0, 5.0, 2.0], [19.9, 9.9, 1.0], [5.0, 10.0, 2.0]]])
    whole = Placement.letterbox(10, 20, Letterbox(10, 20))
    placed = place_keypoints(points, torch.tensor([CRAB]), whole, shapes_data.CATEGORIES)
    assert placed[0, :, 2].tolist() == [2, 0, 1, 0]


def test_keypoints_that_are_not_labelled_become_zeros():
    points = torch.tensor([[[7.0, 7.0, 0.0]] * 4])
    whole = Placement.letterbox(10, 20, Letterbox(10, 20))
    assert (place_keypoints(points, torch.tensor([CRAB]), whole, shapes_data.CATEGORIES) == 0).all()


def block(x0, y0, x1, y1, height=40, width=40):
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


WINDOW = Placement((40, 40), (40, 40), (20, 20), top=10, left=10)


def test_instances_outside_the_window_are_dropped():
    packed = shapes_data.pack([block(0, 0, 10, 10), block(12, 12, 20, 20), block(31, 0, 40, 40)], [BOX] * 3)
    for needs in ({"boxes"}, ALL_KINDS):
        placed = place_annotations(packed, 0, WINDOW, needs)
        assert placed.ids.tolist() == [101]
        assert placed.boxes.tolist() == [[2, 2, 10, 10]]


def test_instances_with_less_than_a_pixel_left_are_dropped():
    half = Placement((40, 40), (20, 20), (20, 20))
    packed = shapes_data.pack([block(0, 0, 1, 3), block(0, 0, 2, 2)], [BOX] * 2)
    assert place_annotations(packed, 0, half, {"boxes"}).ids.tolist() == [101]


def test_instances_of_which_nothing_is_visible_are_dropped_where_masks_tell():
    ring = block(0, 0, 40, 40) & ~block(5, 5, 35, 35)  # the window sees only its hole
    packed = shapes_data.pack([ring, block(12, 12, 20, 20)], [BOX] * 2)
    assert place_annotations(packed, 0, WINDOW, ALL_KINDS).ids.tolist() == [101]
    assert place_annotations(packed, 0, WINDOW, {"boxes"}).ids.tolist() == [100, 101]


def test_a_cut_box_is_drawn_around_what_is_left_of_its_mask():
    y, x = np.mgrid[:40, :40]
    packed = shapes_data.pack([x + y < 30], [BOX])  # a triangle of which the window sees the long side
    assert place_annotations(packed, 0, WINDOW, {"boxes"}).boxes.tolist() == [[0, 0, 20, 20]]
    assert place_annotations(packed, 0, WINDOW, ALL_KINDS).boxes.tolist() == [[0, 0, 10, 10]]


def test_a_box_that_is_not_cut_keeps_its_fractions():
    packed = shapes_data.pack([block(12, 12, 20, 20)], [BOX], boxes=[[12.25, 11.75, 20.5, 19.5]])
    assert place_annotations(packed, 0, WINDOW, ALL_KINDS).boxes.tolist() == [[2.25, 1.75, 10.5, 9.5]]


def test_areas_are_scaled_where_masks_are_not_known():
    packed = shapes_data.pack([block(0, 0, 20, 20)], [BOX])
    double = Placement((40, 40), (80, 80), (80, 80))
    assert place_annotations(packed, 0, double, {"boxes"}).areas.tolist() == [1600]
    assert place_annotations(packed, 0, WINDOW, {"boxes"}).areas.tolist() == [100]


def test_only_needed_kinds_are_given():
    packed, placement = random_scene(0)
    placed = place_annotations(packed, 0, placement, {"boxes", "keypoints"})
    assert placed.masks is None
    assert placed.has == {"boxes", "keypoints"}
    placed = place_annotations(packed, 0, placement, {"masks"})
    assert placed.keypoints is None
    assert placed.has == {"masks"}


def test_kinds_that_are_not_labelled_are_not_given():
    packed = shapes_data.pack([block(12, 12, 20, 20)], [PERSON])
    placed = place_annotations(packed, 0, WINDOW, ALL_KINDS)
    assert placed.keypoints is None
    assert placed.has == {"boxes", "masks"}


def test_an_image_without_instances_stays_empty():
    packed = shapes_data.pack([block(0, 0, 5, 5)], [PERSON], np.zeros((1, 4, 3)))
    placed = place_annotations(packed, 0, WINDOW, ALL_KINDS)
    assert len(placed) == 0
    assert placed.masks.shape == (0, 20, 20)
    assert placed.keypoints.shape == (0, 4, 3)
    assert placed.has == ALL_KINDS
