"""Fields of annotations that mean something to the tools that write them, and that nobody here reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
#: By field, what is lost without it; ``attributes`` are those that CVAT adds.
_FIELDS = {
    "ignore": "the object is learnt and scored",
    "difficult": "the object is learnt and scored",
    "attributes.rotation": "the box is taken unturned",
    "score": "objects count alike, however sure whoever labelled them was",
}


def note_of_unused(path: Path, annotations: Sequence[Entry]) -> list[str]:
    """Return a line for each such field that some annotation sets.

    Args:
        path: The file, for messages.
        annotations: Its entries.
    """
    notes = []
    for name, lost in _FIELDS.items():
        having = [entry.get("id") for entry in annotations if _value(entry, name)]
        if having:
            notes.append(
                f"{path}: the field {name} is not read: {lost} ({len(having)} annotations, as {having[0]})."
            )
    return notes


def _value(entry: Entry, name: str) -> Any:
    outer, _, inner = name.partition(".")
    value = entry.get(outer)
    return value.get(inner) if inner and isinstance(value, dict) else value if not inner else None
