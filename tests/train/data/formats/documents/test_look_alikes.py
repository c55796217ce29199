"""Images that look alike stay in one split."""

from pathlib import Path

import numpy as np
from PIL import Image

from mtvit_train.build.data import read_data
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.formats.documents.look_alikes import look_alikes
from support.data_sets.objects import HEIGHT, WIDTH, coco, dump, image


def twins(folder: Path, count: int) -> list[str]:
    """Write pairs: an image, and a smaller, darker copy."""
    names = []
    for i in range(count):
        path = image(folder / f"{i}.png", i)
        copy = Image.fromarray((0.8 * np.asarray(Image.open(path))).astype(np.uint8))
        copy.resize((WIDTH // 2, HEIGHT // 2)).resize((WIDTH, HEIGHT)).save(folder / f"{i}-copy.png")
        names += [path.name, f"{i}-copy.png"]
    return names


def test_copies_are_one_group_and_others_are_not(tmp_path: Path) -> None:
    names, notes = twins(tmp_path, 6), list[str]()
    images = {i: ImageEntry(i, name, HEIGHT, WIDTH) for i, name in enumerate(names)}
    assert look_alikes(tmp_path, images, notes) == {i: i - 1 for i in range(1, 12, 2)}
    assert notes == [f"{tmp_path}: 12 images look like others; such groups are not split."]


def test_no_copy_of_a_training_image_is_in_val(tmp_path: Path) -> None:
    dump(tmp_path / "labels.json", coco(twins(tmp_path / "data", 8), segmentation=[]))
    data = read_data(RunConfig(plugins=("det",), data=str(tmp_path)), tmp_path)
    sides = [{name.decode()[0] for name in split.file_names} for split in (data.train, data.val)]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_frames_of_one_scene_are_split_all_the_same_and_it_is_said(tmp_path: Path) -> None:
    image(tmp_path / "0.png", 0)
    for i in range(1, 5):
        (tmp_path / f"{i}.png").write_bytes((tmp_path / "0.png").read_bytes())
    notes = list[str]()
    images = {i: ImageEntry(i, f"{i}.png", HEIGHT, WIDTH) for i in range(5)}
    assert look_alikes(tmp_path, images, notes) == {}
    assert notes[0].startswith(f"{tmp_path}: 5 of 5 images look alike, so train and val hold images of one")


def test_what_cannot_be_read_is_alone(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no image")
    images = {i: ImageEntry(i, f"{i}.png", HEIGHT, WIDTH) for i in range(2)}
    assert look_alikes(tmp_path, images, []) == {}
