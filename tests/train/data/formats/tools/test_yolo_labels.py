"""Label files are found as Ultralytics finds them, and beside the images where they lie there."""

from pathlib import Path

import pytest

from mtvit_core.errors import DataError
from mtvit_train.build.data import read_data
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.tools.yolo_labels import label_file
from support.data_sets.layouts import LAYOUTS
from support.data_sets.objects import image


def write(root: Path) -> Path:
    """Boxes in Roboflow's YOLO form."""
    root.mkdir()
    LAYOUTS["ultralytics-detect"][0](root)
    return root


def test_the_last_folder_of_images_counts() -> None:
    assert label_file(Path("/images/x/images/train/a.b.png")) == Path("/images/x/labels/train/a.b.txt")
    assert label_file(Path("/data/train/a.png")) == Path("/data/train/a.txt")


def test_labels_beside_the_images_are_read(tmp_path: Path) -> None:
    root = write(tmp_path / "data")
    for split in ("train", "valid"):
        for path in (root / split / "labels").iterdir():
            path.rename(root / split / "images" / path.name)
    data = read_data(RunConfig(plugins=("det",), data=str(root)), root)
    assert data.train.instances == 4


def test_no_label_file_at_all_is_a_fault(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png", 0)
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    with pytest.raises(DataError, match=r"none of the 1 images has a label file, looked for as in .*labels"):
        read_data(RunConfig(plugins=("det",), data=str(tmp_path)), tmp_path)


def test_the_yaml_itself_can_be_given(tmp_path: Path) -> None:
    root = write(tmp_path / "data")
    data = read_data(RunConfig(plugins=("det",), data=str(root / "data.yaml")), root / "data.yaml")
    assert data.train.instances == 4


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_another_reader_finds_the_same_boxes(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    root = write(tmp_path / "data")
    data = read_data(RunConfig(plugins=("det",), data=str(root)), root)
    theirs = supervision.DetectionDataset.from_yolo(
        str(root / "train" / "images"), str(root / "train" / "labels"), str(root / "data.yaml")
    )
    boxes = {Path(path).name: found.xyxy for path, _, found in theirs}
    for index in range(len(data.train)):
        mine = data.train.boxes[data.train.rows(index)]
        assert mine == pytest.approx(boxes[data.train.image(index).file_name], abs=1.0)
