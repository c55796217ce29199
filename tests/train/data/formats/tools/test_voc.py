"""Pascal VOC's XML files, as several tools write them."""

from pathlib import Path

import pytest

from mtvit_core.errors import DataError
from mtvit_train.build.data import RunData, read_data
from mtvit_train.config.run import RunConfig
from support.data_sets.layouts import LAYOUTS
from support.data_sets.objects import image
from support.data_sets.tools import voc_xml


def write(root: Path) -> Path:
    root.mkdir()
    LAYOUTS["voc"][0](root)
    return root


def read(root: Path) -> RunData:
    return read_data(RunConfig(plugins=("det",), data=str(root)), root)


def said(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_another_reader_finds_the_same_boxes(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    root = write(tmp_path / "data")
    theirs = supervision.DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    boxes = {Path(path).name: found.xyxy for path, _, found in theirs}
    data = read(root).train
    for index in range(len(data)):
        # supervision counts all pixels from 1; these files count from 0
        theirs_here = boxes[data.image(index).file_name] + [1, 1, 1, 1]
        assert data.boxes[data.rows(index)] == pytest.approx(theirs_here, abs=1.0)


def test_files_beside_the_images_in_a_folder_per_split_are_read(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid")):
        for i in range(2):
            path = image(tmp_path / split / f"{i}.png", 10 * seed + i)
            path.with_suffix(".xml").write_text(voc_xml(path.name))
    data = read(tmp_path)
    assert (len(data.train), len(data.val), data.train.instances) == (2, 2, 4)
    assert "train and valid" in data.notes[0]


def test_without_lists_val_is_a_share(tmp_path: Path) -> None:
    for i in range(5):
        path = image(tmp_path / f"{i}.png", i)
        path.with_suffix(".xml").write_text(voc_xml(path.name))
    data = read(tmp_path)
    assert (len(data.train), len(data.val)) == (4, 1)


def test_boxes_inside_parts_are_not_objects(tmp_path: Path) -> None:
    root = write(tmp_path / "data")
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
    part = f"<part><name>head</name><bndbox>{corners}</bndbox></part>"
    for path in root.glob("Annotations/*.xml"):
        path.write_text(path.read_text().replace("<pose>", f"{part}<pose>"))
    assert read(root).train.boxes[0].tolist() == [4, 6, 24, 22]


def test_a_missing_image_is_shown_the_nearest_name(tmp_path: Path) -> None:
    root = write(tmp_path / "data")
    (root / "JPEGImages" / "0_0.png").rename(root / "JPEGImages" / "x.png")
    assert "0_0.xml: there is no image called '0_0', nor '0_0.png'; put it into" in said(root)


def test_faults_of_files_are_one_line(tmp_path: Path) -> None:
    root = write(tmp_path / "data")
    path = root / "Annotations" / "0_0.xml"
    whole = path.read_text()
    path.write_text(whole[:80])
    assert f"{path}: malformed XML: unclosed token" in said(root)
    path.write_text(whole.replace("<xmin>4</xmin>", ""))
    assert f"{path}: object 1: bndbox is [None, '6', '24', '22']; give xmin, ymin" in said(root)
    path.write_text(whole.replace("<name>cat</name>", ""))
    assert f"{path}: an object has no name; add it." in said(root)
    path.unlink()
    assert "names '0_0', for which there is no XML file (1 of 3)" in said(root)
