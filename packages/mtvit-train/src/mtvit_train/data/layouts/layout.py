"""What layout a data folder has, as far as nobody says it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import CocoConfig
from mtvit_train.data.formats.tools.darknet import darknet
from mtvit_train.data.formats.tools.mpii import mpii
from mtvit_train.data.formats.tools.translation import Plan
from mtvit_train.data.formats.tools.ultralytics import ultralytics
from mtvit_train.data.formats.tools.voc import voc
from mtvit_train.data.formats.tools.yolo_classes import yolo_classes
from mtvit_train.data.layouts.cvat import cvat
from mtvit_train.data.layouts.named_splits import named_splits, title_of
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
#: Forms of other tools by the name that ``reader`` gives them; each tells how a folder is read, or None.
TOOLS: dict[str, Callable[[Path], Plan | None]] = {
    "ultralytics": ultralytics,
    "yolo": yolo_classes,
    "darknet": darknet,
    "voc": voc,
    "mpii": mpii,
}


@dataclass(frozen=True)
class Layout:
    """A layout and how it is read.

    Attributes:
        coco: The names of its files.
        line: What is said of it; empty where it is COCO 2017's, or what settings name.
        plan: How it is read, where it is of another tool's form; None: as COCO's files.
    """

    coco: CocoConfig
    line: str = ""
    plan: Plan | None = None


def find_layout(root: Path, coco: CocoConfig, reader: str = "coco") -> Layout:
    """Find the layout of a data folder by the files that are in it.

    Args:
        root: The data folder, or the file in it that describes it.
        coco: Settings; names of files in them overrule what is found.
        reader: One of ``TOOLS``, whatever else the folder may be; ``coco``: what is found.

    Raises:
        DataError: several layouts fit, or the one that is asked for does not.
    """
    if reader in TOOLS:
        plan = TOOLS[reader](root)
        if plan is None:
            raise DataError(
                f"{root}: is no data set of the form {reader!r}; see docs/data.md, or leave reader out."
            )
        return _planned(plan, coco)
    default = all(getattr(coco, name) == CocoConfig.model_fields[name].default for name in _NAMES)
    usual = [coco.path(root, name, "train") for name in (coco.instances, coco.keypoints)]
    if default and [path.is_file() for path in usual] == [False, True]:
        said = "COCO's keypoint files alone, read with coco.instances=''; boxes are those of their objects"
        return Layout(coco.model_copy(update={"instances": ""}), f"{root}: {said}.")
    usual.append(coco.path(root, coco.labels, "train"))
    if not default or any(path.is_file() for path in usual):
        return Layout(coco)
    found = {name: settings for name, find in _LAYOUTS.items() if (settings := find(root))}
    if not found and (settings := named_splits(root)):
        found = {title_of(settings): settings}
    plans = {name: plan for name, find in TOOLS.items() if (plan := find(root))}
    if not found and not plans and (settings := single_file(root)):
        found = {"one COCO file with its images": settings}
    if len(found) + len(plans) > 1:
        names = [*found, *(f"reader {name!r}" for name in plans)]
        raise DataError(
            f"{root}: may be {' or '.join(names)}; say which files to read by reader, or by coco.instances, "
            "coco.images, coco.train and coco.val."
        )
    if plans:
        return _planned(next(iter(plans.values())), coco)
    return _named(root, coco, *next(iter(found.items()))) if found else Layout(coco)


def _planned(plan: Plan, coco: CocoConfig) -> Layout:
    share = (coco.val_share or VAL_SHARE) if plan.shared else 0.0
    splits = {"train": "all", "val": "all"} if plan.shared else {}
    read = coco.model_copy(update={**splits, "val_share": share})
    return Layout(read, f"{plan.line}{_said(share)}.", plan)


def _named(root: Path, coco: CocoConfig, name: str, settings: dict[str, Any]) -> Layout:
    shared = settings["train"] == settings["val"]
    share = coco.val_share or (VAL_SHARE if shared else 0.0)
    names = ", ".join(f"coco.{key}={value!r}" for key, value in settings.items())
    read = coco.model_copy(update={**settings, "val_share": share})
    return Layout(read, f"{root}: {name}, read with {names}{_said(share if shared else 0.0)}.")


def _said(share: float) -> str:
    return f"; val is {share:g} of its images (coco.val_share, coco.val_seed)" if share else ""
