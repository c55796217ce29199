"""Files that are there whole or not at all: written beside their place, kept by the disk, then renamed."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all; one that is there already stays until the new one takes its place.

    Args:
        path: The file; its folder has to be there.

    Yields:
        Where to write. The suffix is that of the file, since some writers choose the format by it. What a
        killed process has left there is overwritten.

    Raises:
        OSError: the disk is full, or refuses; nothing of the attempt is left.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        flush(partial)
        partial.replace(path)
    except BaseException:  # a full disk is not to stay full for this, whoever interrupts
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that then appears with all its files, or not at all.

    Args:
        path: The folder; it must not be there, the one around it has to.

    Yields:
        The folder to fill. What a killed process has left there is removed first.

    Raises:
        OSError: the disk is full, or refuses; nothing of the attempt is left.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        for content in sorted(partial.rglob("*")):
            flush(content)
        flush(partial)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all.

    Raises:
        OSError: see ``whole_file``.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Have the disk keep what was written: a file, or the names in a folder."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folder, and flushes only files that it opens for writing
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
