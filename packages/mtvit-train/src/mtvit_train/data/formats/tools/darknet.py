"""Darknet's form, CVAT's "YOLO 1.1": ``obj.data`` names classes and lists of images, beside their labels."""

from dataclasses import replace
from pathlib import Path

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.data_yaml import DataYaml
from mtvit_train.data.formats.tools.translation import Plan, Translated, text_of
from mtvit_train.data.formats.tools.yolo_labels import translate

_FILE = "obj.data"


def darknet(root: Path) -> Plan | None:
    """Return how such a folder is read; None where it is no such folder.

    Raises:
        DataError: the file lacks something.
    """
    path = root / _FILE
    if not path.is_file():
        return None
    lines = [line.partition("=") for line in text_of(path).splitlines() if "=" in line]
    values = {key.strip(): value.strip() for key, _, value in lines}
    named, train = values.get("names"), values.get("train")
    if not named or not train:
        raise DataError(f"{path}: lacks names or train; name the file of classes, and the list of images.")
    val = values.get("valid", values.get("val", ""))
    splits: dict[str, tuple[str, ...]] = {"train": (train,), "val": (val,) if val else ()}
    found = DataYaml(path=path, root="", names={}, splits=splits, points={}, dims=3, flips=None)
    classes = found.find(named)
    if classes is None:
        raise DataError(f"{path}: there is no {named!r}, the file of classes; add it.")
    names = [line.strip() for line in text_of(classes).splitlines() if line.strip()]
    found = replace(found, names=dict(enumerate(names)))
    shared = not val or found.find(val) is None

    def read(split: SplitName, faults: Faults) -> Translated:
        images = found.images("train" if shared else split)
        return translate(path, images, found.categories(), found.form, faults)

    line = f"{path}: YOLO labels of Darknet's form, {len(names)} classes"
    return Plan(line, shared, read)
