"""MPII as pose code bases keep it: a JSON list of people with ``joints``, ``center`` and ``scale``.

    box = (center - 100 scale, center + 100 scale), cut at the image: ``scale`` is the height by 200 pixels;
    pixels are counted from 1.

Source: Andriluka et al. 2014, and the lists that come with Xiao et al. 2018 ("Simple Baselines").
"""

from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.documents.document import load_json
from mtvit_train.data.formats.documents.known_points import MPII
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.fields import need, numbers, text
from mtvit_train.data.formats.tools.translation import Labelled, Plan, Translated, document_of, sizes_of
from mtvit_train.data.near_names import near_path

_PERSON = {
    "id": 1,
    "name": "person",
    "keypoints": list(MPII.names),
    "skeleton": [[a + 1, b + 1] for a, b in MPII.bones],
}
#: Pixels that a scale of 1 stands for, halved.
_HALF = 100


def mpii(root: Path) -> Plan | None:
    """Return how such a folder is read; None where it is no such folder."""
    found = {}
    for split in ("train", "val"):
        names = (
            f"mpii_{split}.json",
            f"annotations/mpii_{split}.json",
            f"annot/{split}.json",
            f"{split}.json",
        )
        found[split] = next((root / name for name in names if _is_list(root / name)), None)
    train, val = found["train"], found["val"]
    if train is None:
        return None
    files = {"train": train, "val": val or train}
    line = f"{root}: MPII's lists of people, {train.name}{f' and {val.name}' if val else ''}"

    def read(split: SplitName, faults: Faults) -> Translated:
        return _translate(files[split], root / "images", faults)

    return Plan(line, val is None, read)


def _is_list(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4096)
    return start.lstrip().startswith(b"[") and b'"joints' in start


def _translate(path: Path, folder: Path, faults: Faults) -> Translated:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; put MPII's images there.")
    people: dict[Path, list[tuple[int, Any]]] = {}
    for place, entry in enumerate(load_json(path)):
        with faults:
            name = text(entry if isinstance(entry, dict) else {}, "image", f"{path}: entry {place}")
            people.setdefault(folder / name, []).append((place, entry))
    for image in people:
        with faults:
            if not image.is_file():
                near = near_path(image)
                raise DataError(f"{image}: no such image file, though {path.name} names it; add it.{near}")
    sizes = sizes_of([image for image in people if image.is_file()], faults)
    found = []
    for image, size in sizes.items():
        objects, places = list[dict[str, Any]](), list[str]()
        for place, entry in people[image]:
            where = f"{path}: entry {place}"
            with faults:
                objects.append(_person(entry, *size, where))
                places.append(where)
        found.append(Labelled(image, objects, places))
    if not found:
        raise DataError(f"{path}: no image is left; fix the faults above first.")
    return document_of(path, folder, [_PERSON], found, sizes)


def _person(entry: dict[str, Any], height: int, width: int, where: str) -> dict[str, Any]:
    xc, yc = numbers(need(entry, "center", where), "center", where, 2)
    (scale,) = numbers([need(entry, "scale", where)], "scale", where)
    joints, seen = need(entry, "joints", where), need(entry, "joints_vis", where)
    x0, y0 = (max(0.0, c - 1 - _HALF * scale) for c in (xc, yc))
    x1, y1 = (min(side, c - 1 + _HALF * scale) for side, c in ((width, xc), (height, yc)))
    return {
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "keypoints": _points(joints, seen, where),
    }


def _points(joints: Any, seen: Any, where: str) -> list[float]:
    visible = numbers(seen, "joints_vis", where, len(MPII.names))
    if not isinstance(joints, list) or len(joints) != len(visible):
        raise DataError(f"{where}: joints is {joints!r:.40}; it must hold {len(visible)} points.")
    flat: list[float] = []
    for joint, v in zip(joints, visible, strict=True):
        x, y = numbers(joint, "joints", where, 2)
        flat += [x - 1, y - 1, 2] if v else [0, 0, 0]
    return flat
