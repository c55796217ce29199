"""One COCO file, whatever its name, and the folder of its images."""

from pathlib import Path
from typing import Any

from mtvit_core.structures.image_files import IMAGE_SUFFIXES


def single_file(root: Path) -> dict[str, Any]:
    """Return the settings that read such a folder, none where it is no such folder.

    The file lies in the folder or in ``annotations``, and is the only JSON file there that speaks of images
    and annotations; its images lie in ``images``, else in the folder itself, else in the only other one.
    """
    files = [path for place in (root, root / "annotations") for path in sorted(place.glob("*.json"))]
    files = [path for path in files if _speaks_of_images(path)]
    if len(files) != 1:
        return {}
    holding = [path.name for path in sorted(root.iterdir()) if path.is_dir() and _holds_images(path)]
    if (root / "images").is_dir():
        images = "images"
    elif _holds_images(root):
        images = ""
    elif len(holding) == 1:
        images = holding[0]
    else:
        return {}
    instances = files[0].relative_to(root).as_posix()
    return {"train": "all", "val": "all", "images": images, "instances": instances, "keypoints": ""}


def _speaks_of_images(path: Path) -> bool:
    text = path.read_bytes()
    return all(f'"{key}"'.encode() in text for key in ("images", "annotations", "categories"))


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
