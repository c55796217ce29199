"""Classes of dense labels: named by the data, and the same in all data sets of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.merging.concatenation import pool
from mtvit_train.data.merging.map_classes import classes_of, fit_map_classes
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.scenes.writer import CLASSES, write_scenes


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedAnnotations:
    """Two scenes."""
    out = tmp_path_factory.mktemp("scenes") / "scenes"
    write_scenes(out, train=2, val=1, seed=0, size=64)
    return read_coco(out, "train")


def renamed(packed: PackedAnnotations, name: str, classes: tuple[str, ...]) -> PackedAnnotations:
    """The split as one of another data set, with other classes of pixels."""
    (member,) = packed.members
    maps = member.maps["semantic"]
    changed = replace(maps, source=replace(maps.source, classes=classes))
    return replace(packed, members=(replace(member, name=name, maps={**member.maps, "semantic": changed}),))


def test_the_data_name_the_classes(packed: PackedAnnotations) -> None:
    assert classes_of(packed) == {"semantic": CLASSES}


def test_another_order_is_brought_to_that_of_the_model(packed: PackedAnnotations, tmp_path: Path) -> None:
    order = CLASSES[::-1]
    both = pool([packed, renamed(packed, "other", order)])
    assert classes_of(both) == {"semantic": CLASSES}
    fitted = fit_map_classes(both, {"semantic": CLASSES})
    first, second = (fitted.dense(i, {"semantic"})["semantic"] for i in (0, 2))
    assert (first + second == len(CLASSES) - 1).all()  # id 0 is the first class here, and the last there


def test_other_classes_in_one_label_are_refused(packed: PackedAnnotations) -> None:
    both = pool([packed, renamed(packed, "other", ("sky", *CLASSES[1:]))])
    with pytest.raises(DataError) as caught:
        classes_of(both)
    assert str(caught.value) == (
        "data sets 'scenes' and 'other': dense label 'semantic' has the class 'background' in one of them "
        "only; name the same classes in both, or leave the label out of one."
    )


def test_a_class_that_the_model_does_not_know_is_refused(packed: PackedAnnotations) -> None:
    with pytest.raises(DataError) as caught:
        fit_map_classes(packed, {"semantic": CLASSES[:-1]})
    assert str(caught.value).startswith("data set 'scenes', dense label 'semantic': class 'heart' is none of")
