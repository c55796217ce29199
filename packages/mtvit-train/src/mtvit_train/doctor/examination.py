"""All checks of a data set, put together."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from mtvit_core.plugins.registry import installed_tasks
from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.coverage import Coverage, coverage
from mtvit_train.data.formats.faults import Faults, Noted
from mtvit_train.data.merging.categories import first_difference
from mtvit_train.data.merging.fit_to_model import labels_objects
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.doctor.classes import (
    ClassCount,
    count_classes,
    count_image_classes,
    odd_classes,
    odd_keypoints,
)
from mtvit_train.doctor.dense_labels import DenseCount, count_dense, odd_dense
from mtvit_train.doctor.duplicates import twins_across, twins_within
from mtvit_train.doctor.finding import Finding
from mtvit_train.doctor.images import Print, read_images
from mtvit_train.doctor.objects import odd_objects
from mtvit_train.doctor.odd_boxes import odd_boxes
from mtvit_train.doctor.odd_images import odd_images

#: Reads one split, faults noted.
ReadSplit = Callable[[SplitName, Faults], PackedAnnotations]

#: Says, of a split, which tasks meet more objects in an image than they can find.
Crowding = Callable[[PackedAnnotations, str], list[str]]


@dataclass(frozen=True)
class SplitReport:
    """What a split holds, as far as it can be read.

    Attributes:
        images: Images whose entry is sound and whose file exists.
        instances: Objects, crowds included.
        crowds: Of these, those that stand for a group.
        dropped: Objects that cover nothing and that the settings leave out.
        tasks: What is labelled for each installed task.
        classes: Objects of each category; empty where nothing is labelled of objects.
        image_classes: Images of each class of whole images; empty where none is labelled.
        dense: What each dense label holds.
        layout: What is said of the layout that was found; empty where none was looked for.
    """

    images: int
    instances: int
    crowds: int
    dropped: int
    tasks: Mapping[str, Coverage]
    classes: list[ClassCount]
    image_classes: list[ClassCount]
    dense: list[DenseCount]
    layout: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass
class Report:
    """The state of a data set.

    Attributes:
        splits: What each split holds; one that cannot be read at all is absent.
        findings: Faults first.
    """

    splits: dict[str, SplitReport] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Literal["sound", "doubts", "faults"]:
        """The worst that was found."""
        levels = {finding.level for finding in self.findings}
        return "faults" if "fault" in levels else "doubts" if levels else "sound"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        splits = {name: split.to_json() for name, split in self.splits.items()}
        return {
            "verdict": self.verdict,
            "splits": splits,
            "findings": [finding.to_json() for finding in self.findings],
        }


def examine(
    read_split: ReadSplit,
    splits: tuple[SplitName, ...],
    workers: int,
    advance: Callable[[], None],
    crowding: Crowding = lambda packed, split: [],
) -> Report:
    """Check a data set and repair nothing.

    Args:
        read_split: Reads a split.
        splits: Which splits there are; both may be one and the same.
        workers: Threads that read images.
        advance: Called after each image.
        crowding: Says which tasks meet more objects in an image than they can find.
    """
    report = Report()
    read = {split: _examine_split(report, read_split, split, workers, advance, crowding) for split in splits}
    packed = [one for one, _ in read.values() if one is not None]
    message = first_difference(*(one.categories for one in packed)) if len(packed) == 2 else ""
    if message:
        report.findings.append(Finding("fault", "categories", "train and val", message))
    report.findings += odd_classes({name: split.classes for name, split in report.splits.items()})
    shown = {name: split.image_classes for name, split in report.splits.items()}
    report.findings += odd_classes(shown, "image labels", "image")
    report.findings += odd_dense({name: split.dense for name, split in report.splits.items()})
    if len(read) == 2:
        report.findings += twins_across(read["train"][1], read["val"][1])
    report.findings.sort(key=lambda finding: finding.level != "fault")
    return report


def _examine_split(
    report: Report,
    read_split: ReadSplit,
    split: SplitName,
    workers: int,
    advance: Callable[[], None],
    crowding: Crowding,
) -> tuple[PackedAnnotations | None, list[Print]]:
    noted, packed, prints = Noted(), None, list[Print]()
    with noted:
        packed = read_split(split, noted)
        packed = _with_sound_segments(packed, noted)
    dense = [] if packed is None else count_dense(packed, Noted())  # images tell their faults
    entries = len(noted.found)
    if packed is not None:
        tasks = {name: coverage(packed, found.cls.needs)[0] for name, found in installed_tasks().items()}
        classes = count_classes(packed) if labels_objects(packed) else []
        crowds = int(packed.crowd.sum())
        report.splits[split] = SplitReport(
            len(packed),
            packed.instances,
            crowds,
            packed.dropped,
            tasks,
            classes,
            count_image_classes(packed),
            dense,
            packed.layout,
        )
        prints = read_images(packed, noted, workers, advance)
    kinds = ["annotations"] * entries + ["images"] * (len(noted.found) - entries)
    report.findings += [
        Finding("fault", kind, split, str(fault)) for kind, fault in zip(kinds, noted.found, strict=True)
    ]
    if packed is not None:
        report.findings += [Finding("doubt", "annotations", split, note) for note in packed.notes]
        report.findings += odd_images([one.file_name for one in prints], [one.raw for one in prints], split)
        report.findings += [Finding("doubt", "crowding", split, note) for note in crowding(packed, split)]
        report.findings += (
            odd_boxes(packed, split) + odd_objects(packed, split) + odd_keypoints(packed, split)
        )
        report.findings += twins_within(prints, split)
    return packed, prints


def _with_sound_segments(packed: PackedAnnotations, noted: Noted) -> PackedAnnotations:
    """Return a split without its segments where what lists them is at fault."""
    with noted:
        packed.check_segments()
        return packed
    return replace(packed, members=tuple(replace(member, segments=None) for member in packed.members))
