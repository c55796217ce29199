"""Images that occur twice: the same bytes, or nearly the same look."""

from collections.abc import Iterator, Sequence

import numpy as np

from mtvit_train.data.formats.documents.look_alikes import ALIKE
from mtvit_train.doctor.finding import Finding, listing
from mtvit_train.doctor.images import Print

#: Images of one side that are compared at a time.
_ROWS = 2048


def twins_across(train: Sequence[Print], val: Sequence[Print]) -> list[Finding]:
    """Find validation images that are training images too; what they score is learnt by heart."""
    known = {one.digest: one.file_name for one in reversed(train)}
    copies = [one for one in val if one.digest in known]
    others = [one for one in val if one.digest not in known]
    same = [
        f"val image {one.file_name} has the bytes of train image {known[one.digest]}; take one of them out."
        for one in copies
    ]
    near = [
        f"val image {others[j].file_name} looks like train image {train[i].file_name} ({bits} of 128 bits of "
        "their dHash differ); look at both."
        for i, j, bits in alike(train, others)
    ]
    return [Finding("doubt", "duplicates", "train and val", message) for message in same + near]


def twins_within(prints: Sequence[Print], split: str) -> list[Finding]:
    """Find images of one split with the same bytes."""
    groups: dict[str, list[str]] = {}
    for one in prints:
        groups.setdefault(one.digest, []).append(one.file_name)
    return [
        Finding(
            "doubt", "duplicates", split, f"{split} images {listing(names)} have the same bytes; keep one."
        )
        for names in groups.values()
        if len(names) > 1
    ]


def alike(train: Sequence[Print], val: Sequence[Print]) -> Iterator[tuple[int, int, int]]:
    """Yield the places of images that look alike, and how many bits differ."""
    if not train or not val:
        return
    # With bits as +1 and -1 a product counts: equal bits less differing ones.
    ours, theirs = (
        np.where([one.look for one in prints], 1, -1).astype(np.float32) for prints in (train, val)
    )
    for start in range(0, len(ours), _ROWS):
        differing = (ours.shape[1] - ours[start : start + _ROWS] @ theirs.T) / 2
        for i, j in np.argwhere(differing <= ALIKE).tolist():
            yield start + i, j, int(differing[i, j])
