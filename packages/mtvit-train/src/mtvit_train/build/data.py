"""The data of a run, generated or read: one data set, or several that become one."""

import shutil
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mtvit_core.errors import ConfigError
from mtvit_core.plugins.registry import make_extension
from mtvit_core.plugins.registry import tasks as tasks_by_name
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.coco import read_coco, read_plan
from mtvit_train.data.formats.documents.document import load_json
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.formats.plugin_reader import read_with
from mtvit_train.data.layouts.layout import TOOLS, find_layout
from mtvit_train.data.merging.categories import first_difference, notes_of_ids, unite, unite_images
from mtvit_train.data.merging.concatenation import pool
from mtvit_train.data.merging.fit_to_model import (
    fit,
    keep_labels,
    labels_anything,
    labels_objects,
    notes_of_keypoints,
)
from mtvit_train.data.merging.stated_keypoints import notes_of_mirrors, stated, with_every_sigma
from mtvit_train.data.merging.table import DataTable
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.run_files import SCENES


@dataclass(frozen=True)
class RunData:
    """What a run trains on and is evaluated on.

    Attributes:
        train: The training split.
        val: The validation split.
        notes: What was left out, stands in or was changed to make several data sets one, a line each.
    """

    train: PackedAnnotations
    val: PackedAnnotations
    notes: tuple[str, ...] = ()


def read_split(
    config: RunConfig, root: Path, split: SplitName, faults: Faults = STOP, needs: Set[str] = frozenset()
) -> PackedAnnotations:
    """Read one split with the reader that the run names, its keypoints as the settings state.

    Args:
        config: Settings.
        root: The data folder.
        split: Which split.
        faults: What to do at what is malformed.
        needs: Kinds of label that must not be missing for want of a file.

    Raises:
        ConfigError: generated scenes are to be read by another reader than COCO's.
        ConfigError: settings of keypoints do not fit the data.
        PluginError: no plugin brings the reader.
        DataError: a file is missing or malformed.
    """
    packed = _read(config, root, split, faults, needs)
    return stated(packed, config.keypoints)


def _read(
    config: RunConfig, root: Path, split: SplitName, faults: Faults, needs: Set[str]
) -> PackedAnnotations:
    if config.reader == "coco" or config.reader in TOOLS:
        layout = find_layout(root, config.coco, config.reader)
        if layout.plan is None:
            packed = read_coco(root, split, layout.coco, faults=faults, needs=needs)
        else:
            packed = read_plan(layout.plan, root, split, layout.coco, faults)
        return replace(packed, layout=layout.line)
    if config.data == "scenes":
        raise ConfigError(
            f"reader {config.reader!r}: scenes are in COCO's layout; name a folder with --data."
        )
    reader = make_extension("reader", config.reader, config.readers.get(config.reader, {}))
    return read_with(reader, root, split, faults)


def read_outlines(config: RunConfig, root: Path, split: SplitName) -> dict[int, Any]:
    """Return the outlines of a split as they were drawn, by annotation id; nothing for plugins' readers."""
    if config.reader != "coco" and config.reader not in TOOLS:
        return {}
    layout = find_layout(root, config.coco, config.reader)
    if layout.plan is not None:
        content = layout.plan.read(split, STOP).document.content
    else:
        path = layout.coco.path(root, layout.coco.instances, split)
        content = load_json(path) if layout.coco.instances and path.is_file() else {"annotations": []}
    drawn = {entry["id"]: entry.get("segmentation") for entry in content["annotations"]}
    return {number: value for number, value in drawn.items() if isinstance(value, list)}


def read_table(
    config: RunConfig, table: DataTable, split: SplitName, faults: Faults = STOP
) -> PackedAnnotations:
    """Read one split of one of several data sets, with the labels that its table names.

    Raises:
        PluginError: no plugin brings the reader.
        DataError: a file is missing or malformed, or no image has a label that the table names.
    """
    alone = {"data": table.path, "reader": table.reader, "coco": table.coco or config.coco}
    packed = read_split(config.model_copy(update=alone), Path(table.path), split, faults)
    return keep_labels(packed, table.labels, f"data set {table.title!r}, {split}")


def read_data(config: RunConfig, root: Path, known: Categories | None = None) -> RunData:
    """Read the training and the validation data.

    Args:
        config: Settings.
        root: The data folder, where there is one.
        known: Categories of a model to start from; the data may lack some.

    Raises:
        ConfigError: the two splits of a data set do not have the same categories.
        DataError: a file is missing or malformed, or data sets contradict each other or the model.
    """
    if isinstance(config.data, str):
        needs = needs_of(config)
        train, val = (read_split(config, root, split, needs=needs) for split in ("train", "val"))
        _check_same_categories(train, val, root)
        where, own = f"data {root}", train.categories
        every, notes = with_every_sigma(own) if known is None else (_with_images(known, own.images), ())
        merge = "id" if known is None else config.merge  # a data set is like itself by id
        return RunData(
            fit(train, every, merge, where),
            fit(val, every, merge, where),
            (
                *([train.layout] if train.layout else []),
                *notes_of_reading(train, "train"),
                *notes_of_reading(val, "val"),
                *notes_of_mirrors(every),
                *notes,
                *notes_of_keypoints(own, every, merge, where),
            ),
        )
    return _read_tables(config, config.data, known)


def _read_tables(config: RunConfig, tables: tuple[DataTable, ...], known: Categories | None) -> RunData:
    read = {}
    for table in tables:
        train = read_table(config, table, "train")
        val = read_table(config, table, "val") if table.evaluate else None
        if val is not None:
            _check_same_categories(train, val, Path(table.path))
        read[table.title] = train, val
    own = {name: train.categories for name, (train, _) in read.items()}
    listed = {name: own[name] for name, (train, _) in read.items() if labels_objects(train)} or own
    if known is None:
        united = replace(unite(listed, config.merge), images=unite_images(own, config.merge))
        every, said = with_every_sigma(united)
    else:
        every, said = _with_images(known, unite_images(own, config.merge)), ()
    trains, vals, notes = [], [], [*notes_of_mirrors(every), *said]
    for name, (train, val) in read.items():
        where = f"data set {name!r}"
        notes += [train.layout] if train.layout else []
        notes += notes_of_reading(train, f"{where}, train")
        notes += [] if val is None else notes_of_reading(val, f"{where}, val")
        if not labels_anything(train) and not config.distill.teacher:
            notes.append(f"{where}: has no labels, and teaches nothing without a teacher (distill.teacher).")
        trains.append(_named(fit(train, every, config.merge, where), name))
        if val is not None:
            vals.append(_named(fit(val, every, config.merge, where), name))
        if name in listed:
            notes += notes_of_ids(own[name], every, config.merge, where)
            notes += notes_of_keypoints(own[name], every, config.merge, where)
    return RunData(pool(trains), pool(vals), tuple(notes))


def _with_images(known: Categories, images: tuple[Category, ...]) -> Categories:
    """Return the categories of a model, with the data's classes of whole images where it has none."""
    return known if known.images else replace(known, images=images)


def _named(packed: PackedAnnotations, name: str) -> PackedAnnotations:
    (member,) = packed.members
    return replace(packed, members=(replace(member, name=name),))


def _check_same_categories(train: PackedAnnotations, val: PackedAnnotations, root: Path) -> None:
    difference = first_difference(train.categories, val.categories)
    if difference:
        raise ConfigError(f"data {root}: {difference}")


def needs_of(config: RunConfig) -> frozenset[str]:
    """Return the kinds of label that the tasks of a run learn from; none where the run names no task."""
    found = tasks_by_name(list(config.plugins)).values()
    return frozenset(kind for task in found for kind in task.needs)


def notes_of_reading(packed: PackedAnnotations, where: str) -> list[str]:
    """Say what of a split was left out, and what was read otherwise than it is written."""
    notes = list(packed.notes)
    if packed.dropped:
        notes.append(
            f"{where}: {packed.dropped} annotations that cover nothing are left out (coco.degenerate); their "
            "images teach nothing, as what is left would say that nothing is there."
        )
    if packed.unmasked:
        notes.append(
            f"{where}: {packed.unmasked} masks that cover nothing are left out (coco.degenerate); boxes stay."
        )
    return notes


def prepare_data(config: RunConfig, out: Path, check: Callable[[], None] = lambda: None) -> Path:
    """Return the data folder; generated scenes are written below the run folder first, where they are not.

    Of several data sets each has its own, and the run folder is returned.

    Args:
        config: Settings of the run.
        out: Run folder.
        check: Called after each scene.
    """
    if not isinstance(config.data, str):
        return out
    if config.data != "scenes":
        return Path(config.data)
    folder, scenes = out / SCENES, config.scenes
    if not (folder / "annotations").is_dir():  # they come last: without them the scenes are unfinished
        shutil.rmtree(folder, ignore_errors=True)
        write_scenes(
            folder,
            train=scenes.train,
            val=scenes.val,
            seed=scenes.seed,
            size=scenes.size,
            progress=lambda done, count: check(),
        )
    return folder
