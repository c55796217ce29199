"""Data sets in COCO's layout: image folders beside annotation files, read into packed arrays."""

from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.categories import Categories
from mtvit_train.data.dense_maps import read_maps
from mtvit_train.data.formats.coco_file import CocoFile, Degenerate, read_coco_file, read_document
from mtvit_train.data.formats.coco_images import found_images
from mtvit_train.data.formats.coco_merge import check_known, merge_categories, merge_images, merge_instances
from mtvit_train.data.formats.coco_share import split_by_share
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.formats.documents.look_alikes import look_alikes
from mtvit_train.data.formats.documents.packing import judged_bits, pack
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.formats.labels.coco_labels import CocoLabels, read_coco_labels
from mtvit_train.data.formats.panoptic import find_panoptic
from mtvit_train.data.formats.tools.translation import Plan
from mtvit_train.data.near_names import near_path
from mtvit_train.data.packed import ALL_KINDS, Member, PackedAnnotations, annotated_of

#: The settings that name annotation files.
FileField = Literal["instances", "keypoints"]
#: The kinds of label that only this file gives.
_GIVES = {"instances": {"boxes", "masks"}, "keypoints": {"keypoints"}}


class CocoConfig(BaseModel):
    """The config table ``[coco]``: names of a data set's files, and how strictly they are read.

    ``{split}`` in a name stands for the value of ``train`` or ``val``.

    Attributes:
        train: Name of the training split.
        val: Name of the validation split.
        images: Folder of a split's images, below the data folder.
        instances: File of boxes and masks, below the data folder; empty where there is none.
        keypoints: File of keypoints; empty where there is none, or where ``instances`` holds the keypoints
            too.
        maps: File that lists dense labels, below the data folder; a split without it has none.
        labels: File of classes of whole images, below the data folder; a split without it has none.
        panoptic: File of panoptic annotations, for evaluation; a split without it has none.
        panoptic_maps: Folder of their PNG files.
        only: Ids of the images to use, of both splits; all where empty.
        val_share: Share of the images that is for validation, where train and val are the same files; 0: both
            splits are all of them.
        val_seed: Number of that choice.
        degenerate: What happens to annotations that cover nothing: ``error``, or ``drop`` to leave them out,
            counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str = "train2017"
    val: str = "val2017"
    images: str = "{split}"
    instances: str = "annotations/instances_{split}.json"
    keypoints: str = "annotations/person_keypoints_{split}.json"
    maps: str = "annotations/maps_{split}.json"
    labels: str = "annotations/labels_{split}.json"
    panoptic: str = "annotations/panoptic_{split}.json"
    panoptic_maps: str = "annotations/panoptic_{split}"
    only: tuple[int, ...] = ()
    val_share: float = Field(0.0, ge=0, lt=1)
    val_seed: int = 0
    degenerate: Degenerate = "error"

    def path(self, root: Path, name: str, split: SplitName) -> Path:
        """Return the path of a name (``images``, ``instances``, ``panoptic`` and so on) for a split."""
        return root / name.replace("{split}", self.train if split == "train" else self.val)


def read_coco(
    root: Path,
    split: SplitName,
    config: CocoConfig | None = None,
    categories: Categories | None = None,
    faults: Faults = STOP,
    needs: Set[str] = ALL_KINDS,
) -> PackedAnnotations:
    """Read the annotations of one split.

    What is labelled: images of the ``instances`` file have boxes, masks (if each of their instances has one)
    and keypoints (if its categories name any); images of the ``keypoints`` file have keypoints. With no
    ``instances`` file the ``keypoints`` file counts as one. An annotation that is in both files is one
    instance; the keypoints file adds its keypoints, and must agree in image, category, box and crowd. An
    annotation in the keypoints file alone is an instance as well; if it has no mask, its image counts as not
    labelled for masks.

    Args:
        root: The data folder.
        split: Which split.
        config: File names; COCO 2017's by default.
        categories: Classes and their order where a checkpoint or the training split gives them; else those of
            the files, in the order of their ids.
        faults: What to do at what is malformed, missing or in conflict; what it concerns is left out.
        needs: Kinds of label that are asked for. A file of the default name that gives none of them may be
            missing, if the other one is there.

    Raises:
        DataError: A file or folder is missing, malformed, or in conflict with another one.
    """
    config, root = config or CocoConfig(), Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder; check the path.{near_path(root)}")
    labels = _read_labels(root, split, config, faults)
    files = _read_files(root, split, config, faults, needs, labels)
    folder = config.path(root, config.images, split)
    return _packed(root, split, config, files, folder, categories, faults, labels)


def read_plan(
    plan: Plan, root: Path, split: SplitName, config: CocoConfig | None = None, faults: Faults = STOP
) -> PackedAnnotations:
    """Read one split of a folder of another tool; what is labelled follows the rules of ``read_coco``.

    Args:
        plan: How the folder is read.
        root: The data folder.
        split: Which split.
        config: What is used of it, and how strictly; its names of files do not matter.
        faults: What to do at what is malformed, missing or in conflict; what it concerns is left out.

    Raises:
        DataError: A file or folder is missing or malformed.
    """
    config, translated = config or CocoConfig(), plan.read(split, faults)
    files = [read_document(translated.document, config.degenerate, faults=faults)]
    return _packed(root, split, config, files, translated.folder, None, faults)


def _packed(
    root: Path,
    split: SplitName,
    config: CocoConfig,
    files: Sequence[CocoFile],
    folder: Path,
    categories: Categories | None,
    faults: Faults,
    labels: CocoLabels | None = None,
) -> PackedAnnotations:
    images = _keep_only(merge_images(files, faults), config.only, files[0].path)
    if config.val_share and config.train == config.val:
        alike = look_alikes(folder, images, files[0].notes)
        images = split_by_share(images, split, config.val_share, config.val_seed, alike)
    images = found_images(folder, images, faults, files[0].notes)
    if not images:
        raise DataError(f"{folder}: no image of the {split} split is left; fix the faults above first.")
    own = merge_categories([file for file in files if file.objects] or files, faults)
    own = replace(own, images=() if labels is None else labels.classes)
    if categories is not None:
        check_known(own, categories, str(files[0].path))
    instances = [instance for instance in merge_instances(files, faults) if instance.image_id in images]
    file_names = [image.file_name for image in images.values()]
    maps = read_maps(root, config.path(root, config.maps, split), file_names)
    known = None if categories is None else annotated_of(categories, own)
    ids = {image.file_name: image.id for image in images.values()}
    listed, drawn = (config.path(root, name, split) for name in (config.panoptic, config.panoptic_maps))
    segments = find_panoptic(listed, drawn, ids, own)
    categories = categories or own
    judged = judged_bits(list(images.values()), categories)
    shown = None if labels is None else labels.pack(images.values())
    member = Member(
        root.name,
        folder,
        annotated=known,
        judged=judged,
        maps=maps,
        segments=segments,
        image_labels=shown,
    )
    return pack(member, files, list(images.values()), instances, categories)


def _keep_only(images: dict[int, ImageEntry], ids: Sequence[int], path: Path) -> dict[int, ImageEntry]:
    """Keep the images of these ids, all where there are none.

    Raises:
        DataError: An id is not in the file.
    """
    missing = sorted(set(ids) - images.keys())
    if missing:
        raise DataError(
            f"{path}: coco.only names image {missing[0]}, none of the {len(images)} images here; correct it."
        )
    return {id_: image for id_, image in images.items() if id_ in ids or not ids}


def _read_labels(root: Path, split: SplitName, config: CocoConfig, faults: Faults) -> CocoLabels | None:
    """Read the classes of whole images; None where there is no such file."""
    path = config.path(root, config.labels, split)
    if config.labels and path.is_file():
        return read_coco_labels(path, faults)
    if config.labels in ("", CocoConfig.model_fields["labels"].default):
        return None
    raise DataError(f"{path}: no such file of image labels; correct coco.labels, or leave it out.")


def _read_files(
    root: Path,
    split: SplitName,
    config: CocoConfig,
    faults: Faults,
    needs: Set[str],
    labels: CocoLabels | None,
) -> list[CocoFile]:
    files: list[CocoFile] = []
    fields: dict[FileField, str] = {"instances": config.instances, "keypoints": config.keypoints}
    named = {field: config.path(root, name, split) for field, name in fields.items() if name}
    if not named and labels is None:
        raise DataError(
            "coco.instances and coco.keypoints are both empty; name at least one annotation file."
        )
    there = labels is not None or any(path.is_file() for path in named.values())
    for field, path in named.items():
        default = fields[field] == CocoConfig.model_fields[field].default
        if there and default and not needs & _GIVES[field] and not path.is_file():
            continue
        with faults:
            if not path.is_file():
                raise DataError(f"{path}: no such annotation file; {_advice(root, split, config, field)}")
            known = files[0].instances.keys() | files[0].dropped.keys() if files else set[int]()
            files.append(read_coco_file(path, config.degenerate, known, faults))
    files += [] if labels is None else [labels.file]
    if not files:
        raise DataError(f"{root}: no annotation file of the {split} split can be read; fix them first.")
    return files


def _advice(root: Path, split: SplitName, config: CocoConfig, field: FileField) -> str:
    """Say what to do about a missing annotation file."""
    name: str = getattr(config, field)
    if split == "val" and config.path(root, name, "train").is_file():
        return (
            f"there is a train split only. Give a val split, or evaluate on the training images "
            f"with coco.val={config.train}; add coco.val_share=0.2 to keep a fifth of them from training."
        )
    path = config.path(root, name, split)
    beside, near = path.parent, near_path(path)
    there = sorted(p.name for p in beside.glob("*.json")) if beside.is_dir() else []
    if not there and not beside.is_dir():
        return (
            "nor is the folder a data set of another known layout (docs/data.md lists them). Name the file "
            f"with coco.{field}.{near}"
        )
    return (
        f"its folder has {', '.join(there[:8]) or 'no JSON files'}. "
        f'Name it with coco.{field}, or set coco.{field}="" if there is none.{near}'
    )
