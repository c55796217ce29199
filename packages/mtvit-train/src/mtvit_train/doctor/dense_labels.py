"""What the dense labels of a data set hold: labelled pixels, classes, ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.doctor.finding import Finding, listing


@dataclass(frozen=True)
class DenseCount:
    """A dense label in one split.

    Attributes:
        name: Of the label.
        images: Images that have it and can be read.
        labelled: Share of their pixels that are labelled.
        classes: Share of each class in the labelled pixels; empty for numbers and directions.
        least: Smallest number; None without a number.
        most: Largest number.
    """

    name: str
    images: int
    labelled: float
    classes: Mapping[str, float]
    least: float | None
    most: float | None


def count_dense(packed: PackedAnnotations, faults: Faults) -> list[DenseCount]:
    """Read every dense label of a split.

    Args:
        packed: The split.
        faults: What to do at a file that cannot be read or does not fit its image.
    """
    names = dict.fromkeys(name for member in packed.members for name in member.maps)
    return [_count(packed, name, faults) for name in names]


def _count(packed: PackedAnnotations, name: str, faults: Faults) -> DenseCount:
    sources = [member.maps[name] for member in packed.members if name in member.maps]
    classes, kind = sources[0].classes, sources[0].source.kind
    images = pixels = labelled = 0
    of_class, least, most = np.zeros(len(classes), np.int64), np.inf, -np.inf
    for index in packed.mapped(name).nonzero()[0].tolist():
        with faults:
            values = packed.dense(index, {name})[name]
            known = np.isfinite(values).all(0) if values.ndim == 3 else np.isfinite(values)
            images, pixels, labelled = images + 1, pixels + known.size, labelled + int(known.sum())
            if kind == "classes":
                of_class += np.bincount(values[known].astype(np.int64), minlength=len(classes))
            elif kind == "numbers" and known.any():
                least, most = min(least, float(values[known].min())), max(most, float(values[known].max()))
    shares = (of_class / max(labelled, 1)).tolist()
    number = kind == "numbers" and labelled > 0
    return DenseCount(
        name,
        images,
        labelled / max(pixels, 1),
        dict(zip(classes, shares, strict=True)),
        least if number else None,
        most if number else None,
    )


def odd_dense(counts: Mapping[str, Sequence[DenseCount]]) -> list[Finding]:
    """Find dense labels that training cannot learn, or that validation cannot score.

    Args:
        counts: Of every label, by split.
    """
    findings = []
    for split, labels in counts.items():
        what = "is not learnt" if split == "train" else "is not scored"
        for one in labels:
            never = [name for name, share in one.classes.items() if not share]
            message = ""
            if not one.labelled:
                message = f"dense label {one.name!r}: no pixel is labelled, so it {what}."
            elif never:
                message = (
                    f"dense label {one.name!r}: classes without a pixel: {len(never)} of {len(one.classes)}, "
                    f"so each {what}: {listing(never)}."
                )
            elif one.least is not None and one.least == one.most:
                message = f"dense label {one.name!r}: every pixel is {one.least:g}; look at its scale."
            if message:
                findings.append(Finding("doubt", "dense labels", split, message))
    return findings
