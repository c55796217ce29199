"""MTAN's folders of arrays, in their exact form: classes, depth and normals of every image."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtvit_core.errors import DataError
from mtvit_core.structures.framing import Letterbox
from mtvit_dense.readers.mtan import CITYSCAPES_7, NYUV2_13, Mtan, MtanConfig
from mtvit_train.data.formats.plugin_reader import read_with
from mtvit_train.data.samples.images import ImageDataset

ROWS, COLUMNS = 6, 8


def write_mtan(root: Path, *, normals: bool, label: str = "label", count: int = 11) -> None:
    """A data set as MTAN's authors publish it: float64 images, int64 labels, a depth axis of length 1."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(count):
            arrays = {
                "image": rng.random((ROWS, COLUMNS, 3)),
                label: rng.integers(-1, 7, (ROWS, COLUMNS)),
                "depth": rng.random((ROWS, COLUMNS, 1)).astype(np.float32).clip(0.3) - np.float32(0.3),
            }
            if normals:
                vectors = rng.normal(size=(ROWS, COLUMNS, 3)).astype(np.float32)
                vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
                vectors[0, 0] = 0
                arrays["normal"] = vectors
            for name, values in arrays.items():
                (root / split / name).mkdir(parents=True, exist_ok=True)
                np.save(root / split / name / f"{number}.npy", values)


@pytest.mark.parametrize(
    ("normals", "label", "classes"),
    [(True, "label", NYUV2_13), (False, "label_7", CITYSCAPES_7), (False, "label", CITYSCAPES_7)],
)
def test_both_layouts_are_read(tmp_path: Path, normals: bool, label: str, classes: tuple[str, ...]) -> None:
    write_mtan(tmp_path, normals=normals, label=label)
    packed = read_with(Mtan(MtanConfig()), tmp_path, "train")
    assert packed.members[0].maps["semantic"].classes == classes
    assert [packed.image(i).file_name for i in (1, 2, 10)] == ["1.npy", "2.npy", "10.npy"]
    found = packed.dense(10, {"semantic", "depth", "normals"})
    folder = tmp_path / "train"
    ids, depth = np.load(folder / label / "10.npy"), np.load(folder / "depth" / "10.npy")[..., 0]
    np.testing.assert_array_equal(found["semantic"], np.where(ids < 0, np.nan, ids))
    np.testing.assert_array_equal(found["depth"], np.where(depth == 0, np.nan, depth))
    assert ("normals" in found) == normals
    if normals:
        vectors = np.load(folder / "normal" / "10.npy").transpose(2, 0, 1)
        assert np.isnan(found["normals"][:, 0, 0]).all()
        np.testing.assert_allclose(found["normals"][:, 1:], vectors[:, 1:], atol=1e-6)


def test_images_are_rounded_to_8_bits(tmp_path: Path) -> None:
    write_mtan(tmp_path, normals=False)
    packed = read_with(Mtan(MtanConfig()), tmp_path, "val")
    sample = ImageDataset(packed, Letterbox(ROWS, COLUMNS), needs=frozenset({"depth"}))[0, 0]
    image = torch.from_numpy(np.load(tmp_path / "val" / "image" / "0.npy")).permute(2, 0, 1)
    assert (sample.image / 255 - image).abs().max() <= 0.5 / 255 + 1e-6
    assert sample.annotations.has == {"depth"}


def test_a_folder_that_is_another_one_is_refused(tmp_path: Path) -> None:
    reader = Mtan(MtanConfig())
    with pytest.raises(DataError) as caught:
        reader.split(tmp_path, "train")
    where = tmp_path / "train" / "image"
    assert str(caught.value) == f"{where}: the images should be 0.npy, 1.npy and so on, but it holds none."
    where.mkdir(parents=True)
    np.save(where / "street.npy", np.zeros((1, 1, 3)))
    with pytest.raises(DataError, match=r"but it holds street\.npy\."):
        reader.split(tmp_path, "train")
