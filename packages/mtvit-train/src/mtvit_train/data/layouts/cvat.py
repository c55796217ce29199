"""CVAT's export in COCO's form: files of COCO's names whose one split is called ``default``."""

from pathlib import Path
from typing import Any

_FILES = ("instances_default.json", "person_keypoints_default.json")


def cvat(root: Path) -> dict[str, Any]:
    """Return the settings that read such a folder, none where it is no such folder."""
    if not any((root / "annotations" / name).is_file() for name in _FILES):
        return {}
    inner = (root / "images" / "default").is_dir()
    return {"train": "default", "val": "default", "images": "images/{split}" if inner else "images"}
