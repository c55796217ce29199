"""Class folders as people have them: with and without splits, with folders that are none of the classes."""

from pathlib import Path

import pytest
from PIL import Image

from mtvit_cls.readers.class_folders import ClassFolders, ClassFoldersConfig
from mtvit_core.errors import DataError
from mtvit_train.data.formats.plugin_reader import read_with


def write(path: Path, size: tuple[int, int] = (6, 4), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


def reader(**settings: object) -> ClassFolders:
    return ClassFolders(ClassFoldersConfig.model_validate(settings))


def test_folders_of_splits(tmp_path: Path) -> None:
    for name in ("train/dog/1.jpg", "train/cat/deep/2.JPG", "train/.cache/3.jpg", "valid/dog/4.jpg"):
        write(tmp_path / name)
    write(tmp_path / "train" / "dog" / "turned.jpg", orientation=6)
    packed = read_with(reader(), tmp_path, "train")
    assert [c.name for c in packed.categories.images] == ["cat", "dog"]
    assert [packed.image(i).file_name for i in range(3)] == ["cat/deep/2.JPG", "dog/1.jpg", "dog/turned.jpg"]
    assert packed.sizes.tolist() == [[4, 6], [4, 6], [6, 4]]
    shown = [packed.original(i, {"image_labels"}).image_labels for i in range(3)]
    assert [labels.present.tolist() for labels in shown if labels] == [[1, 0], [0, 1], [0, 1]]
    val = read_with(reader(), tmp_path, "val")
    assert val.folder.name == "valid"
    assert len(val) == 1


def test_without_splits_a_share_of_each_class_is_for_validation(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(10):
            write(tmp_path / name / f"{i}.png")
    parts = {split: read_with(reader(val_share=0.3), tmp_path, split) for split in ("train", "val")}
    names = {split: {part.image(i).file_name for i in range(len(part))} for split, part in parts.items()}
    assert not names["train"] & names["val"]
    assert sum(map(len, names.values())) == 20
    assert sorted(name[:3] for name in names["val"]) == ["cat"] * 3 + ["dog"] * 3
    again = read_with(reader(val_share=0.3), tmp_path, "val")
    assert {again.image(i).file_name for i in range(len(again))} == names["val"]
    other = read_with(reader(val_share=0.3, val_seed=1), tmp_path, "val")
    assert {other.image(i).file_name for i in range(len(other))} != names["val"]


def test_a_class_of_val_that_train_lacks_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train" / "dog" / "1.jpg")
    write(tmp_path / "val" / "dogs" / "2.jpg")
    with pytest.raises(DataError, match=r"no class of this name is in .*train.* Did you mean 'dog'\?"):
        reader().split(tmp_path, "val")


def test_a_folder_without_classes_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg")
    with pytest.raises(DataError, match="give one folder for each class"):
        reader().categories(tmp_path)
