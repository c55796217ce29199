"""Pictures: what is drawn where, in which colour, and how several come onto one sheet."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.drawing.palette import HEADING, LEFT, MIDDLE, RIGHT, UNTRACKED, class_colour, text_colour
from mtvit_core.drawing.results import contact_sheet, draw_annotations, draw_instances
from mtvit_core.errors import DataError
from mtvit_core.results.linking import link
from mtvit_core.structures.annotations import IMAGE_LABELS, Annotations, TrueImageLabels
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_core.structures.masks import encode_rle

CATEGORIES = Categories((Category(1, "person", COCO_PERSON), Category(3, "cup")))
SIZE = 600
GREY = torch.full((3, SIZE, SIZE), 90, dtype=torch.uint8)


def near(
    picture: Image.Image, point: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 12
) -> bool:
    """Tell whether a pixel has a colour."""
    return bool(np.abs(np.array(picture.getpixel(point)) - np.array(colour)).max() <= tolerance)


def count(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    """Count the pixels of a colour."""
    return int((np.abs(np.asarray(picture).astype(int) - colour).max(-1) <= 6).sum())


def annotated(box: list[float], label: int = 1, mask: torch.Tensor | None = None) -> Annotations:
    return Annotations(
        boxes=torch.tensor([box]),
        labels=torch.tensor([label]),
        masks=None if mask is None else mask[None],
        keypoints=torch.zeros(1, 17, 3),
        is_crowd=torch.tensor([False]),
        areas=torch.tensor([1.0]),
        ids=torch.tensor([1]),
        has=frozenset({"boxes"}),
    )


def found(box: list[float], task: str = "det", label: int = 1) -> Instances:
    return Instances(
        height=SIZE,
        width=SIZE,
        categories=CATEGORIES,
        labels=torch.tensor([label]),
        scores=torch.tensor([0.5]),
        boxes=torch.tensor([box]),
        tasks=(task,),
        rles=(None,),
        keypoints=torch.full((1, 17, 3), torch.nan),
    )


def both(a: Instances, b: Instances) -> Instances:
    """Join two results; ``concatenate`` by hand, so that this file tests drawing alone."""
    return replace(
        a,
        labels=torch.cat([a.labels, b.labels]),
        scores=torch.cat([a.scores, b.scores]),
        boxes=torch.cat([a.boxes, b.boxes]),
        tasks=a.tasks + b.tasks,
        rles=a.rles + b.rles,
        keypoints=torch.cat([a.keypoints, b.keypoints]),
    )


BOX = [100.0, 200.0, 400.0, 500.0]


def test_a_box_is_drawn_on_its_edges_and_named_above():
    picture = draw_annotations(GREY, annotated(BOX), CATEGORIES)
    assert picture.size == (SIZE, SIZE)
    for point in ((100, 350), (399, 350), (250, 200), (250, 499)):
        assert near(picture, point, class_colour(1)), point
    assert near(picture, (250, 350), (90, 90, 90))
    assert near(picture, (60, 350), (90, 90, 90))
    tag = picture.crop((100, 180, 130, 198))
    assert count(tag, class_colour(1)) < 0.9 * 30 * 18  # translucent, with letters
    assert count(tag, (90, 90, 90)) < 0.5 * 30 * 18


def test_a_mask_is_tinted_inside_and_outlined():
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[250:350, 250:350] = True
    picture = draw_annotations(GREY, annotated(BOX, mask=mask), CATEGORIES)
    expected = tuple(round(0.65 * 90 + 0.35 * c) for c in class_colour(1))
    assert near(picture, (300, 300), expected)
    assert near(picture, (300, 250), class_colour(1), 90)
    assert near(picture, (240, 300), (90, 90, 90))
    masked = replace(found(BOX, "seg"), rles=(encode_rle(mask.numpy()),))
    assert near(draw_instances(GREY, masked), (300, 300), expected)


def test_limbs_have_the_hue_of_their_side():
    labels = annotated(BOX, 0)
    for name, x, y in (("left_shoulder", 300, 250), ("left_elbow", 300, 350), ("left_wrist", 300, 450)):
        labels.keypoints[0, COCO_PERSON.names.index(name)] = torch.tensor([x, y, 2.0])
    for name, x, y in (("right_shoulder", 200, 250), ("right_elbow", 200, 350)):
        labels.keypoints[0, COCO_PERSON.names.index(name)] = torch.tensor([x, y, 2.0])
    picture = draw_annotations(GREY, labels, CATEGORIES)
    assert near(picture, (300, 300), LEFT)
    assert near(picture, (300, 400), LEFT)
    assert near(picture, (200, 300), RIGHT)
    assert near(picture, (250, 250), MIDDLE)


def test_hidden_keypoints_are_rings_and_unlabelled_ones_are_left_out():
    wrist = COCO_PERSON.names.index("left_wrist")
    labels = annotated(BOX, 0)
    pictures = []
    for visibility in (0.0, 1.0, 2.0):
        labels.keypoints[0, wrist] = torch.tensor([300.0, 350.0, visibility])
        pictures.append(draw_annotations(GREY, labels, CATEGORIES))
    assert near(pictures[0], (300, 350), (90, 90, 90))
    assert near(pictures[1], (300, 350), (20, 20, 20), 60)
    assert near(pictures[2], (300, 350), LEFT, 40)


def test_keypoints_below_the_score_are_left_out():
    result = found(BOX, "pose", 0)
    result.keypoints[0] = torch.tensor([300.0, 350.0, 0.2])
    assert near(draw_instances(GREY, result), (300, 350), (90, 90, 90))
    assert not near(draw_instances(GREY, result, min_keypoint_score=0.1), (300, 350), (90, 90, 90))


def test_an_object_found_by_several_tasks_is_framed_once_when_linked():
    one = draw_instances(GREY, found(BOX))
    moved = found([110.0, 210.0, 410.0, 510.0], "seg")
    rows = both(found(BOX), replace(moved, rles=(encode_rle(np.zeros((SIZE, SIZE), dtype=bool)),)))
    assert draw_instances(GREY, rows).tobytes() != one.tobytes()
    assert draw_instances(GREY, link(rows)).tobytes() == one.tobytes()


def test_each_object_can_have_a_colour_of_its_own():
    wrist, elbow = (COCO_PERSON.names.index(name) for name in ("left_wrist", "left_elbow"))
    first, second = (
        found([50.0, 200.0, 250.0, 500.0], "pose", 0),
        found([350.0, 200.0, 550.0, 500.0], "pose", 0),
    )
    for row, x in ((first, 150.0), (second, 450.0)):
        row.keypoints[0] = torch.tensor([0.0, 0.0, 0.0])
        row.keypoints[0, [wrist, elbow]] = torch.tensor([[x, 250.0, 0.9], [x, 450.0, 0.9]])
    pictures = [draw_instances(GREY, both(first, second), by_object=own) for own in (False, True)]
    assert near(pictures[0], (350, 350), class_colour(0))
    assert near(pictures[0], (450, 350), LEFT)
    assert near(pictures[1], (50, 350), class_colour(0))
    assert near(pictures[1], (350, 350), class_colour(1))
    assert near(pictures[1], (150, 350), class_colour(0))
    assert near(pictures[1], (450, 350), class_colour(1))


def test_an_object_of_a_video_keeps_its_colour_while_it_keeps_its_number():
    image = torch.zeros(3, 512, 512, dtype=torch.uint8)
    first, second = found([20.0, 100.0, 120.0, 200.0]), found([300.0, 100.0, 400.0, 200.0])
    for objects, tracks in ((both(first, second), (2, None)), (both(second, first), (None, 2))):
        picture = draw_instances(image, objects, by_object=True, tracks=tracks)
        left, right = picture.crop((0, 0, 256, 512)), picture.crop((256, 0, 512, 512))
        assert count(left, class_colour(1)) > 100 > count(right, class_colour(1))
        assert count(right, UNTRACKED) > 100 > count(left, UNTRACKED)


def test_nothing_found_leaves_the_image_as_it_is():
    nothing = found(BOX)[torch.zeros(1, dtype=torch.bool)]
    picture = draw_instances(GREY, nothing)
    assert np.array_equal(np.asarray(picture), GREY.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("side", "expected"), [(96, 576), (300, 600), (511, 1022), (512, 512), (1, 512)])
def test_small_images_are_enlarged_by_a_whole_factor(side, expected):
    image = torch.full((3, side, side), 90, dtype=torch.uint8)
    picture = draw_annotations(image, annotated([0.25 * side, 0.5 * side, 0.75 * side, side]), CATEGORIES)
    assert picture.size == (expected, expected)
    edge = range(round(0.25 * expected) - 1, round(0.25 * expected) + 3)
    assert any(near(picture, (x, round(0.75 * expected)), class_colour(1)) for x in edge)


def test_masks_of_small_images_lie_where_they_belong():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[16:48, 16:48] = True
    image = torch.full((3, 64, 64), 90, dtype=torch.uint8)
    picture = draw_annotations(image, annotated([0.0, 0.0, 64.0, 64.0], mask=mask), CATEGORIES)
    tinted = np.abs(np.asarray(picture).astype(int)[40:, 20:490] - 90).max(-1) > 20
    rows, columns = np.nonzero(tinted[:460])
    assert (rows.min() + 40, rows.max() + 40) == pytest.approx((128, 383), abs=3)
    assert (columns.min() + 20, columns.max() + 20) == pytest.approx((128, 383), abs=3)


def test_boxes_at_the_rim_and_without_area_are_drawn():
    for box in ([0.0, 0.0, 600.0, 600.0], [300.0, 300.0, 300.0, 300.0], [599.0, 599.0, 600.0, 600.0]):
        assert count(draw_annotations(GREY, annotated(box), CATEGORIES), (90, 90, 90)) < SIZE * SIZE


def test_names_at_one_place_do_not_hide_each_other():
    one = draw_instances(GREY, found(BOX))
    two = draw_instances(GREY, both(found(BOX), found(BOX)))
    letters = [count(picture, text_colour(class_colour(1))) for picture in (one, two)]
    assert letters[1] > 1.7 * letters[0]


def test_crowds_are_named_so():
    plain = annotated(BOX)
    crowd = replace(plain, is_crowd=torch.tensor([True]))
    ink = text_colour(class_colour(1))
    pictures = [draw_annotations(GREY, labels, CATEGORIES) for labels in (plain, crowd)]
    assert count(pictures[1], ink) > 1.5 * count(pictures[0], ink)


def lightness_and_hue(colour: tuple[int, int, int], matrix: np.ndarray) -> np.ndarray:
    """CIE L a b of a colour as seen through a matrix of linear RGB."""
    linear = matrix @ (np.array(colour) / 255) ** 2.2
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ linear.clip(0, 1)
    x, y, z = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


#: Machado et al. 2009, severity 1.0.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_the_first_classes_and_the_limbs_differ_for_every_eye(sight):
    for colours in ([class_colour(i) for i in range(6)], [LEFT, RIGHT, MIDDLE]):
        seen = [lightness_and_hue(colour, np.array(SIGHT[sight])) for colour in colours]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(apart) > 12, sight


def test_all_classes_of_coco_have_their_own_colour():
    assert len({class_colour(label) for label in range(80)}) == 80


def test_letters_are_dark_on_bright_and_bright_on_dark():
    assert text_colour((250, 225, 60)) == (0, 0, 0)
    assert text_colour((60, 30, 90)) == (255, 255, 255)


def plain(width: int, height: int, colour: str) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def test_a_sheet_has_rows_of_pictures():
    sheet = contact_sheet([plain(100, 80, "red"), plain(100, 80, "lime"), plain(60, 40, "blue")], columns=2)
    assert sheet.size == (2 * 112 + 12, (80 + 12) + (40 + 12) + 12)
    assert sheet.getpixel((62, 50)) == (255, 0, 0)
    assert sheet.getpixel((174, 50)) == (0, 255, 0)
    assert sheet.getpixel((62, 120)) == (0, 0, 255)


def test_large_pictures_are_shrunk_and_captions_stand_below():
    pictures = [plain(1280, 640, "red"), plain(100, 100, "lime")]
    bare = contact_sheet(pictures, columns=4)
    assert bare.size == (2 * 652 + 12, 320 + 24)
    named = contact_sheet(pictures, columns=4, captions=["truth", "predicted"])
    assert named.height > bare.height
    strip = np.asarray(named.crop((12, 333, 652, named.height)).convert("L"))
    assert (strip < 100).sum() > 20


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(
        DataError, match=r"contact sheet: there is no picture to show; choose at least one image\."
    ):
        contact_sheet([], columns=2)


def test_captions_must_match_the_pictures():
    with pytest.raises(
        DataError, match=r"contact sheet: 1 captions for 2 pictures; give one each, or none\."
    ):
        contact_sheet([plain(9, 9, "red")] * 2, columns=2, captions=["one"])


def test_classes_of_the_image_are_written_in_its_upper_left_corner() -> None:
    labels = TrueImageLabels(torch.tensor([0.0, 1.0]), torch.tensor([True, True]))
    plain = annotated([300.0, 300.0, 500.0, 500.0])
    told = replace(plain, has=plain.has | {IMAGE_LABELS}, image_labels=labels)
    for with_it, without in (
        (draw_annotations(GREY, told, CATEGORIES), draw_annotations(GREY, plain, CATEGORIES)),
        (draw_instances(GREY, found(BOX), heading="cup 0.90"), draw_instances(GREY, found(BOX))),
    ):
        changed = np.abs(np.asarray(with_it).astype(int) - np.asarray(without)).max(-1) > 20
        rows, columns = changed.nonzero()
        assert len(rows) > 100
        assert rows.max() < SIZE / 10
        assert columns.max() < SIZE / 3
        assert count(with_it.crop((0, 0, 60, 30)), HEADING) > count(without.crop((0, 0, 60, 30)), HEADING)
