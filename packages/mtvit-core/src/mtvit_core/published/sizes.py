"""Sizes that are read off a source."""

import re

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
