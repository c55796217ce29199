"""Sizes that are read off a source."""

import re
from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_core.published.source import Source


def mlp_ratio(hidden: int, width: int) -> float:
    """Return the ratio by which timm makes the hidden width: the whole part of ratio times token width."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width


def count_blocks(source: Source, prefix: str) -> int:
    """Return one more than the highest number that follows a prefix among the keys.

    Raises:
        CheckpointError: there is none.
    """
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    numbers = [int(found[1]) for key in source.tensors if (found := pattern.match(key))]
    if not numbers:
        raise CheckpointError(
            f"source {source.where}: it lacks {prefix + '0'!r}, from which its sizes are read."
        )
    return 1 + max(numbers)


def image_size(source: Source, found: Any) -> tuple[int, int]:
    """Return rows and columns that ``image_size`` of some settings says: two numbers, or one for both.

    Raises:
        CheckpointError: it is something else.
    """
    sides = [found, found] if isinstance(found, int) else found
    is_pair = isinstance(sides, list | tuple) and len(sides) == 2
    if not is_pair or not all(type(side) is int and side > 0 for side in sides):
        raise CheckpointError(
            f"source {source.where}: its config.json has image_size {found!r:.40}; a number, or rows and "
            "columns, are known here."
        )
    return sides[0], sides[1]
