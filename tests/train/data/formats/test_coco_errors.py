"""Reading COCO files: what is said about wrong files, images and categories."""

import shutil

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support.training import tiny_coco
from support.training.tiny_coco import drop, message

NO_KEYPOINTS = CocoConfig(keypoints="")

IMAGES = {
    "no id": (
        lambda e: drop(e, "id"),
        "{i}: entry 0 of 'images' has no 'id'; add it, as COCO's format asks.",
    ),
    "id is text": (
        lambda e: e.update(id="7"),
        "{i}: entry 0 of 'images': id is '7'; ids are whole numbers of at most 64 bits.",
    ),
    "id is huge": (
        lambda e: e.update(id=2**63),
        "{i}: entry 0 of 'images': id is 9223372036854775808; ids are whole numbers of at most 64 bits.",
    ),
    "id twice": (
        lambda e: e.update(id=3),
        "{i}: image 3 is listed more than once; ids must be unique.",
    ),
    "no file name": (
        lambda e: drop(e, "file_name"),
        "{i}: image 7 has no 'file_name'; add it, as COCO's format asks.",
    ),
    "file name is a number": (
        lambda e: e.update(file_name=12),
        "{i}: image 7: file_name is 12; it must be a text.",
    ),
    "file name twice": (
        lambda e: e.update(file_name="more/b.png"),
        "{i}: file name 'more/b.png' is listed more than once; each image needs its own.",
    ),
    "file name leads up": (
        lambda e: e.update(file_name="../a.png"),
        "{i}: image 7: file name '../a.png' leads out of the image folder; give a path below it.",
    ),
    "file name is absolute": (
        lambda e: e.update(file_name="/etc/a.png"),
        "{i}: image 7: file name '/etc/a.png' leads out of the image folder; give a path below it.",
    ),
    "no height": (
        lambda e: drop(e, "height"),
        "{i}: image 7 has no 'height'; add it, as COCO's format asks.",
    ),
    "zero width": (
        lambda e: e.update(width=0),
        "{i}: image 7: height and width are [30, 0]; both must be whole numbers from 1.",
    ),
    "too large": (
        lambda e: e.update(width=100_000, height=100_000),
        "{i}: image 7 has 100000 x 100000 pixels, over the cap of 89478485; shrink it.",
    ),
    "file is missing": (
        lambda e: e.update(file_name="d.png"),
        "{r}/train2017/d.png: no such image file, though image 7 names it (1 of 3 images are missing); add "
        "the files or remove their entries.",
    ),
}

DOCUMENTS = {
    "no annotations": (
        lambda d: drop(d, "annotations"),
        "{i} has no 'annotations'; add it, as COCO's format asks.",
    ),
    "annotations by id": (
        lambda d: d.update(annotations={"101": {}}),
        "{i}: 'annotations' is {'101': {}}; it must be a list.",
    ),
    "annotation is a number": (
        lambda d: d.update(annotations=[5]),
        "{i}: entry 0 of 'annotations' is 5; it must be an object.",
    ),
    "no images": (
        lambda d: d.update(images=[], annotations=[]),
        "{i}: 'images' is empty; a data set needs at least one image.",
    ),
    "no categories": (
        lambda d: d.update(categories=[], annotations=[]),
        "{i}: 'categories' is empty; a data set needs at least one category.",
    ),
    "category twice": (
        lambda d: d["categories"].append({"id": 1, "name": "cat"}),
        "{i}: category 1 is listed more than once; ids must be unique.",
    ),
    "category without a name": (
        lambda d: drop(d["categories"][0], "name"),
        "{i}: entry 0 of 'categories' (id 18) has no 'name'; add it, as COCO's format asks.",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_wrong_images(tmp_path, case):
    edit, expected = IMAGES[case]
    files = tiny_coco.documents()
    edit(files["instances"]["images"][0])
    assert message(tiny_coco.write(tmp_path, files), NO_KEYPOINTS) == expected


@pytest.mark.parametrize("case", DOCUMENTS)
def test_wrong_documents(tmp_path, case):
    edit, expected = DOCUMENTS[case]
    files = tiny_coco.documents()
    edit(files["instances"])
    assert message(tiny_coco.write(tmp_path, files), NO_KEYPOINTS) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[]", "{i}: holds a list; a COCO file holds one object."),
        (
            b'{"images": [\n  1 2]}',
            "{i}: malformed JSON in line 2, column 5: Expecting ',' delimiter; write the file again or "
            "restore it.",
        ),
        (
            b'{"images": [',
            "{i}: malformed JSON in line 1, column 13: Expecting value; write the file again or restore it.",
        ),
        (b'{"a": "\xff"}', "{i}: byte 7 is not UTF-8; save the file as UTF-8 JSON."),
    ],
)
def test_files_that_are_not_json(tmp_path, content, expected):
    tiny_coco.instances_path(tiny_coco.write(tmp_path)).write_bytes(content)
    assert message(tmp_path) == expected


def test_json_that_nests_without_end(tmp_path):
    tiny_coco.instances_path(tiny_coco.write(tmp_path)).write_text("[" * 200_000)
    assert message(tmp_path).startswith("{i}: malformed JSON: ")


def test_missing_data_folder(tmp_path):
    with pytest.raises(DataError) as caught:
        read_coco(tmp_path / "nowhere", "train")
    assert str(caught.value) == f"{tmp_path / 'nowhere'}: no such data folder; check the path."


def test_missing_annotation_file(tmp_path):
    tiny_coco.keypoints_path(tiny_coco.write(tmp_path)).unlink()
    assert message(tmp_path) == (
        "{k}: no such annotation file; its folder has instances_train2017.json. Name it with coco.keypoints, "
        "or set "
        'coco.keypoints="" if there is none.'
    )


def test_missing_annotation_folder(tmp_path):
    shutil.rmtree(tiny_coco.write(tmp_path) / "annotations")
    assert message(tmp_path) == (
        "{i}: no such annotation file; nor is the folder a data set of another known layout (docs/data.md "
        "lists them). Name the file with coco.instances."
    )


def test_no_annotation_file_named(tmp_path):
    assert message(tiny_coco.write(tmp_path), CocoConfig(instances="", keypoints="")) == (
        "coco.instances and coco.keypoints are both empty; name at least one annotation file."
    )


def test_only_names_an_image_that_is_not_there(tmp_path):
    assert message(tiny_coco.write(tmp_path), CocoConfig(only=(7, 8))) == (
        "{i}: coco.only names image 8, none of the 3 images here; correct it."
    )


def test_missing_image_folder(tmp_path):
    assert message(tiny_coco.write(tmp_path), CocoConfig(images="pictures")) == (
        "{r}/pictures: no such image folder; its parent has annotations, train2017. Name it with coco.images."
    )
