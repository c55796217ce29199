"""CSV files of image labels: names, several names, columns of 0 and 1, endings left out."""

from pathlib import Path

import pytest
from PIL import Image

from mtvit_cls.readers.csv_labels import CsvLabels, CsvLabelsConfig
from mtvit_core.errors import DataError
from mtvit_train.data.formats.plugin_reader import read_with
from mtvit_train.data.packed import PackedAnnotations


def images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (6, 4)).save(folder / name)


def reader(**settings: object) -> CsvLabels:
    return CsvLabels(CsvLabelsConfig.model_validate(settings))


def shown(packed: PackedAnnotations) -> dict[str, list[float]]:
    found = {}
    for i in range(len(packed)):
        labels = packed.original(i, {"image_labels"}).image_labels
        assert labels is not None
        found[packed.image(i).file_name] = labels.present.tolist()
    return found


def test_a_column_of_names(tmp_path: Path) -> None:
    images(tmp_path / "pictures", "a.jpg", "b.jpg")
    (tmp_path / "train.csv").write_text("id,breed\na,pug\nb,beagle\n")
    (tmp_path / "val.csv").write_text("id,breed\nb,pug\n")
    made = reader(images="pictures", suffix=".jpg")
    assert shown(read_with(made, tmp_path, "train")) == {"a.jpg": [0, 1], "b.jpg": [1, 0]}
    assert shown(read_with(made, tmp_path, "val")) == {"b.jpg": [0, 1]}


def test_several_names_in_one_cell(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "train.csv").write_text("image,tags,who\na.jpg,haze road,x\nb.jpg,,y\nc.jpg,road,z\n")
    (tmp_path / "val.csv").write_text("image,tags,who\nc.jpg,road,z\n")
    packed = read_with(reader(label="tags", separator=" "), tmp_path, "train")
    assert shown(packed) == {"a.jpg": [1, 1], "b.jpg": [0, 0], "c.jpg": [0, 1]}


def test_roboflows_export(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        images(tmp_path / split, "a.jpg")
        (tmp_path / split / "_classes.csv").write_text("filename, cat, dog\na.jpg, 0, 1\n")
    made = reader()
    assert [c.name for c in made.categories(tmp_path)] == ["cat", "dog"]
    assert shown(read_with(made, tmp_path, "val")) == {"a.jpg": [0, 1]}


def test_one_file_is_shared_out(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(10)]
    images(tmp_path, *names)
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(f"{name},x\n" for name in names))
    parts = [read_with(reader(), tmp_path, split) for split in ("train", "val")]
    assert [len(part) for part in parts] == [8, 2]
    assert {*shown(parts[0])} | {*shown(parts[1])} == {*names}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na.jpg,x\na.jpg,y\n", "line 3: image 'a.jpg' is named before"),
        ("image,label\na.jpg\n", "line 2: has 1 columns, the first line 2"),
        ("image,label,who\na.jpg,x,y\n", r"name the one of the classes with readers\.csv_labels\.label"),
        ("image,label\nz.jpg,x\n", r"no such file in .*readers\.csv_labels\.images"),
        ("image\na.jpg\n", "needs a line of column names"),
    ],
)
def test_errors_say_where_and_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    images(tmp_path, "a.jpg")
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        reader().split(tmp_path, "train")
