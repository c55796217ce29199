"""Reading COCO files: what is said about wrong annotations."""

import pytest

from mtvit_train.data.formats.coco import CocoConfig
from support.training import tiny_coco
from support.training.tiny_coco import drop, message

NO_KEYPOINTS = CocoConfig(keypoints="")

ANNOTATIONS = {
    "no id": (
        lambda e: drop(e, "id"),
        "{i}: entry 0 of 'annotations' has no 'id'; add it, as COCO's format asks.",
    ),
    "id twice": (
        lambda e: e.update(id=103),
        "{i}: annotation 103 is listed more than once; ids must be unique.",
    ),
    "no image": (
        lambda e: drop(e, "image_id"),
        "{i}: annotation 101 has no 'image_id'; add it, as COCO's format asks.",
    ),
    "unknown image": (
        lambda e: e.update(image_id=8),
        "{i}: annotation 101 lies in image 8, which 'images' does not list; add it or remove this.",
    ),
    "no category": (
        lambda e: drop(e, "category_id"),
        "{i}: annotation 101 has no 'category_id'; add it, as COCO's format asks.",
    ),
    "unknown category": (
        lambda e: e.update(category_id=2),
        "{i}: annotation 101 has category 2, which 'categories' does not list; add or correct it.",
    ),
    "crowd is neither": (
        lambda e: e.update(iscrowd=2),
        "{i}: annotation 101: iscrowd is 2; it must be 0 or 1.",
    ),
    "no box": (
        lambda e: drop(e, "bbox"),
        "{i}: annotation 101 has no 'bbox'; add it, as COCO's format asks.",
    ),
    "box is null": (
        lambda e: e.update(bbox=None),
        "{i}: annotation 101: bbox is None; it must be a list of numbers.",
    ),
    "box of three": (
        lambda e: e.update(bbox=[1, 2, 3]),
        "{i}: annotation 101: bbox holds 3 numbers; it must hold 4.",
    ),
    "box with NaN": (
        lambda e: e.update(bbox=[1, 2, 3, float("nan")]),
        "{i}: annotation 101: bbox holds nan; allowed are numbers from -1e9 to 1e9.",
    ),
    "box with infinity": (
        lambda e: e.update(bbox=[1, 2, float("inf"), 4]),
        "{i}: annotation 101: bbox holds inf; allowed are numbers from -1e9 to 1e9.",
    ),
    "box with text": (
        lambda e: e.update(bbox=[1, 2, "3", 4]),
        "{i}: annotation 101: bbox holds '3'; allowed are numbers from -1e9 to 1e9.",
    ),
    "box without width": (
        lambda e: e.update(bbox=[4, 6, 0, 12]),
        "{i}: annotation 101: bbox is 0 wide and 12 high; both must be above 0.",
    ),
    "box outside": (
        lambda e: e.update(bbox=[40, 6, 3, 3]),
        "{i}: annotation 101: bbox [40, 6, 3, 3] lies outside its image of 40 x 30 pixels; correct or remove "
        "it.",
    ),
    "negative area": (
        lambda e: e.update(area=-1),
        "{i}: annotation 101: area is -1; it must not be negative.",
    ),
    "segmentation is a text": (
        lambda e: e.update(segmentation="4 6 14 6"),
        "{i}: annotation 101: segmentation is '4 6 14 6'; give a list of polygons or run lengths.",
    ),
    "segmentation is one flat list": (
        lambda e: e.update(segmentation=[4, 6, 14, 6, 14, 18]),
        "{i}: annotation 101: segmentation is one flat list of 6 numbers; put the polygon into a list: "
        "[[x, y, x, y, ...]].",
    ),
    "polygon of two points": (
        lambda e: e.update(segmentation=[[4, 6, 14, 6]]),
        "{i}: annotation 101: polygon 0 has 2 points; a polygon needs at least 3.",
    ),
    "polygon with half a point": (
        lambda e: e["segmentation"].append([4, 6, 14, 6, 14, 18, 4]),
        "{i}: annotation 101: polygon 1 has 7 coordinates; x and y come in pairs.",
    ),
    "polygon with NaN": (
        lambda e: e.update(segmentation=[[4, 6, 14, 6, 14, float("nan")]]),
        "{i}: annotation 101: polygon 0: segmentation holds nan; allowed are numbers from -1e9 to 1e9.",
    ),
    "polygon far away": (
        lambda e: e.update(segmentation=[[4, 6, 14, 6, 14, 61]]),
        "{i}: annotation 101: polygon 0 reaches y = 61; the image has y from 0 to 30.",
    ),
    "polygon without area": (
        lambda e: e.update(segmentation=[[4, 6, 4, 6, 4, 6]]),
        "{i}: annotation 101: segmentation covers no pixel of the image; correct or remove the annotation.",
    ),
    "run lengths of another size": (
        lambda e: e.update(segmentation={"size": [40, 30], "counts": [1200]}),
        "{i}: annotation 101: run lengths have size [40, 30]; the image has size [30, 40].",
    ),
    "run lengths that end early": (
        lambda e: e.update(segmentation={"size": [30, 40], "counts": [600, 599]}),
        "{i}: annotation 101: run lengths add up to 1199 pixels; an image of size [30, 40] has 1200.",
    ),
    "run lengths below zero": (
        lambda e: e.update(segmentation={"size": [30, 40], "counts": [1201, -1]}),
        "{i}: annotation 101: run lengths hold counts [1201, -1]; give a list of whole numbers or COCO's "
        "text.",
    ),
    "run lengths of another text": (
        lambda e: e.update(segmentation={"size": [30, 40], "counts": "~~"}),
        "{i}: annotation 101: mask: '~~' is not COCO's form of run lengths.",
    ),
    "run lengths with a negative run": (
        lambda e: e.update(segmentation={"size": [30, 40], "counts": "O"}),
        "{i}: annotation 101: mask: 'O' holds a run of negative length.",
    ),
    "run lengths without a pixel": (
        lambda e: e.update(segmentation={"size": [30, 40], "counts": [1200]}),
        "{i}: annotation 101: segmentation covers no pixel of the image; correct or remove the annotation.",
    ),
    "keypoints of a category without": (
        lambda e: e.update(keypoints=[1, 1, 2]),
        "{i}: annotation 101 has keypoints, but category 'person' names none; add them to the category.",
    ),
}


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_wrong_annotations(tmp_path, case):
    edit, expected = ANNOTATIONS[case]
    files = tiny_coco.documents()
    edit(files["instances"]["annotations"][0])
    assert message(tiny_coco.write(tmp_path, files), NO_KEYPOINTS) == expected
