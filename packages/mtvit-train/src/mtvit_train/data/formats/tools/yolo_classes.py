"""YOLO labels as Label Studio exports them: ``notes.json`` or ``classes.txt`` in the place of a yaml."""

from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.documents.document import load_json
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.translation import Plan, Translated, text_of
from mtvit_train.data.formats.tools.yolo_labels import translate
from mtvit_train.data.formats.tools.yolo_rows import RowForm
from mtvit_train.data.image_folders import images_below

_NOTES, _CLASSES = "notes.json", "classes.txt"


def yolo_classes(root: Path) -> Plan | None:
    """Return how such a folder is read; None where it is no such folder.

    ``notes.json`` counts for more than ``classes.txt``, which lists the classes without their numbers.
    """
    source = next((root / name for name in (_NOTES, _CLASSES) if (root / name).is_file()), None)
    if source is None or not (root / "labels").is_dir():
        return None
    line = f"{root}: YOLO labels with {source.name}, as Label Studio exports them"

    def read(split: SplitName, faults: Faults) -> Translated:
        names = _of_notes(source) if source.name == _NOTES else _of_classes(source)
        images = images_below(root / "images") if (root / "images").is_dir() else []
        if not images:
            raise DataError(
                f"{root / 'images'}: no image lies here; Label Studio leaves out images that it does not "
                "hold itself. Put them there."
            )
        categories = [{"id": number, "name": name} for number, name in names.items()]
        return translate(root, images, categories, RowForm(frozenset(names)), faults)

    return Plan(line, True, read)


def _of_notes(path: Path) -> dict[int, str]:
    content: Any = load_json(path)
    listed = content.get("categories") if isinstance(content, dict) else None
    try:
        return {int(entry["id"]): str(entry["name"]) for entry in listed or []} or _none(path)
    except (TypeError, KeyError, ValueError):
        raise DataError(
            f"{path}: categories is {listed!r:.40}; it must list entries of id and name."
        ) from None


def _of_classes(path: Path) -> dict[int, str]:
    names = [line.strip() for line in text_of(path).splitlines() if line.strip()]
    return dict(enumerate(names)) or _none(path)


def _none(path: Path) -> dict[int, str]:
    raise DataError(f"{path}: names no class; add them.")
