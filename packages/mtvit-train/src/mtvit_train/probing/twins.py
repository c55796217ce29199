"""Images without labels that are validation images too: what they teach would be learnt by heart."""

from collections.abc import Sequence
from pathlib import Path

from mtvit_core.files import checksum

#: Names that a line lists.
_LISTED = 5


def without_twins(paths: Sequence[Path], held_out: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Leave out files with the bytes of a validation image.

    Args:
        paths: Images to learn from.
        held_out: Validation images.

    Returns:
        The others, and lines that name what was left out.
    """
    sizes = {path.stat().st_size for path in held_out if path.is_file()}
    sums = {checksum(path) for path in held_out if path.is_file()}
    twins = [path for path in paths if path.stat().st_size in sizes and checksum(path) in sums]
    if not twins:
        return list(paths), []
    gone = set(twins)
    more = f" and {len(twins) - _LISTED} more" if len(twins) > _LISTED else ""
    names = ", ".join(str(path) for path in twins[:_LISTED])
    line = f"{len(twins)} images are validation images of probe.data too and are left out: {names}{more}."
    return [path for path in paths if path not in gone], [line]
