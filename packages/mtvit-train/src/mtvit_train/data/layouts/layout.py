"""What layout a data folder has, as far as nobody says it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import CocoConfig
from mtvit_train.data.layouts.cvat import cvat
from mtvit_train.data.layouts.roboflow import roboflow
from mtvit_train.data.layouts.single_file import single_file

#: Settings that name files: where one of them is set, the layout is that of the settings.
_NAMES = ("train", "val", "images", "instances", "keypoints")
#: Share of the images that becomes the val split where there is none.
VAL_SHARE = 0.2
#: Each tells the settings that a folder of its layout needs, or none.
_LAYOUTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "Roboflow's COCO export": roboflow,
    "CVAT's COCO export": cvat,
}


@dataclass(frozen=True)
class Layout:
    """A layout and how it is read.

    Attributes:
        coco: The names of its files.
        line: What is said of it; empty where it is COCO 2017's, or what settings name.
    """

    coco: CocoConfig
    line: str = ""


def find_layout(root: Path, coco: CocoConfig) -> Layout:
    """Find the layout of a data folder by the files that are in it.

    Args:
        root: The data folder.
        coco: Settings; names of files in them overrule what is found.

    Raises:
        DataError: several layouts fit.
    """
    default = all(getattr(coco, name) == CocoConfig.model_fields[name].default for name in _NAMES)
    usual = [coco.path(root, name, "train") for name in (coco.instances, coco.keypoints)]
    if not default or any(path.is_file() for path in usual):
        return Layout(coco)
    found = {name: settings for name, find in _LAYOUTS.items() if (settings := find(root))}
    if not found and (settings := single_file(root)):
        found = {"one COCO file with its images": settings}
    if not found:
        return Layout(coco)
    if len(found) > 1:
        raise DataError(
            f"{root}: may be {' or '.join(found)}; say which files to read by coco.instances, coco.images, "
            "coco.train and coco.val."
        )
    ((name, settings),) = found.items()
    shared = settings["train"] == settings["val"]
    share = coco.val_share or (VAL_SHARE if shared else 0.0)
    read = coco.model_copy(update={**settings, "val_share": share})
    said = f"; val is {share:g} of its images (coco.val_share, coco.val_seed)" if shared else ""
    names = ", ".join(f"coco.{key}={value!r}" for key, value in settings.items())
    return Layout(read, f"{root}: {name}, read with {names}{said}.")
