"""Which images are for validation where nobody says it: a share of each class."""

from collections.abc import Mapping, Sequence

import numpy as np

from mtvit_core.structures.annotations import SplitName


def share_of(
    items: Sequence[str], classes: Mapping[str, object], split: SplitName, share: float, seed: int
) -> list[str]:
    """Return the items of one split, in their order; of classes with two items or more, each split has one.

    Args:
        items: All items.
        classes: Class of each item, or a tuple of them.
        split: Which split.
        share: Share that is for validation.
        seed: Number of the choice.
    """
    rng = np.random.default_rng(seed)
    by_class: dict[object, list[str]] = {}
    for item in items:
        by_class.setdefault(classes[item], []).append(item)
    held: set[str] = set()
    for same in by_class.values():
        count = min(max(1, round(share * len(same))), len(same) - 1)
        held |= {same[i] for i in rng.permutation(len(same))[:count]}
    return [item for item in items if (item in held) == (split == "val")]
