"""Roboflow's export in COCO's form: a folder per split, with ``_annotations.coco.json`` beside the images."""

from pathlib import Path
from typing import Any

_FILE = "_annotations.coco.json"


def roboflow(root: Path) -> dict[str, Any]:
    """Return the settings that read such a folder, none where it is no such folder.

    Without ``valid``, val is a share of train; ``test`` is never used.
    """
    if not (root / "train" / _FILE).is_file():
        return {}
    val = "valid" if (root / "valid" / _FILE).is_file() else "train"
    return {
        "train": "train",
        "val": val,
        "images": "{split}",
        "instances": f"{{split}}/{_FILE}",
        "keypoints": "",
    }
