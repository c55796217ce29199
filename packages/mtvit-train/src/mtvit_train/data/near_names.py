"""Names that are almost those of files which are missed: the sentence of a message that names them."""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

#: Ways in which tools change a name, and what is said of two names that are equal but for it.
_CHANGES: tuple[tuple[Callable[[str], str], str], ...] = (
    (lambda name: name.replace("\\", "/"), "has slashes in the place of backslashes"),
    (str.casefold, "differs in upper and lower case only"),
    (lambda name: unicodedata.normalize("NFC", name), "is the same letters in another Unicode form"),
    (unquote, "is written without percent signs"),
    (lambda name: unquote(unicodedata.normalize("NFC", name)).casefold(), "is written otherwise"),
    (lambda name: PurePosixPath(name).name, "lies in another folder"),
    (lambda name: PurePosixPath(name).name.casefold(), "lies in another folder and differs in case"),
    (lambda name: PurePosixPath(name).stem, "has another ending"),
)


def near_name(name: str, there: Iterable[str], remedy: str) -> str:
    """Return a sentence about the name that is almost this one; empty where there is none.

    Args:
        name: The name that is missed, with slashes or backslashes.
        there: Names that are there.
        remedy: What to do about it.
    """
    slashed, known = name.replace("\\", "/"), sorted(there)
    for change, what in _CHANGES:
        for other in known:
            if change(other) == change(slashed):
                return f" {other!r} {what}: {remedy}."
    return ""


def near_path(path: Path) -> str:
    """Return such a sentence about a path: of its first part that is not there."""
    missed = path
    while not missed.parent.is_dir():
        if missed.parent == missed:
            return ""
        missed = missed.parent
    there = (other.name for other in missed.parent.iterdir())
    return near_name(missed.name, there, "correct the name, or rename it")
