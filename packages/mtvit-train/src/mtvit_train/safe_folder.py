"""A folder that is there whole or not at all: written beside its place, checked by sums, then renamed.

state.safetensors   the tensors
state.json          everything else
SHA256SUMS          what `sha256sum --check SHA256SUMS` reads; written last
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mtvit_core.errors import CheckpointError
from mtvit_train.state_tree import join, split

TENSORS, PLAIN, SUMS = "state.safetensors", "state.json", "SHA256SUMS"


#: What the writers of files raise where the disk is full or refuses.
REFUSALS = (OSError, SafetensorError)


class DiskError(CheckpointError):
    """A file of a run could not be written; what was there before still is."""


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Say in one line that a run folder cannot be written to.

    Raises:
        DiskError: the disk is full, or refuses.
    """
    try:
        yield
    except REFUSALS as cause:
        raise DiskError(
            f"out {out}: cannot be written to ({cause}); free some space or mend the disk, then go on with: "
            f"mtvit-train --out {out} --resume"
        ) from cause


def write_folder(target: Path, state: Mapping[str, Any]) -> None:
    """Write a nested state; a folder that is there already is replaced.

    Args:
        target: Folder to write; the folder around it must exist.
        state: Mappings and lists of tensors and plain data.

    Raises:
        DiskError: the disk is full, or refuses; nothing of the attempt is left.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        tensors, plain = split(state)
        save_file(tensors, partial / TENSORS)
        (partial / PLAIN).write_text(json.dumps(plain) + "\n", encoding="utf-8")
        sums = "".join(f"{_sum(partial / name)}  {name}\n" for name in (TENSORS, PLAIN))
        (partial / SUMS).write_text(sums, encoding="utf-8")
        for name in (TENSORS, PLAIN, SUMS):
            flush(partial / name)
        flush(partial)
        remove_folder(target)
        partial.rename(target)
        flush(target.parent)
    except REFUSALS as cause:
        shutil.rmtree(partial, ignore_errors=True)
        raise DiskError(f"{target}: cannot be written ({cause}); free some space or mend the disk.") from None


def read_folder(folder: Path) -> dict[str, Any]:
    """Read a nested state; keys of mappings are text, tuples are lists, tensors are on the CPU.

    Raises:
        CheckpointError: a file is missing, torn or changed.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
        for name in (TENSORS, PLAIN):
            if _sum(folder / name) != sums.get(name):
                raise CheckpointError(f"{folder}: {name} is torn: its checksum is not that in {SUMS}.")
        plain = json.loads((folder / PLAIN).read_text(encoding="utf-8"))
        state: dict[str, Any] = join(load_file(folder / TENSORS), plain)
    except (OSError, UnicodeDecodeError) as cause:
        raise CheckpointError(f"{folder}: cannot be read ({cause}).") from None
    return state


def remove_folder(folder: Path) -> None:
    """Remove a folder if it is there; its name goes first, so that no half of it ever bears it."""
    if folder.is_dir():
        nameless = folder.with_name(f".{folder.name}.removed")
        shutil.rmtree(nameless, ignore_errors=True)
        folder.rename(nameless)
        shutil.rmtree(nameless, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote or removed has left in a folder."""
    for ending in ("partial", "removed"):
        for path in folder.glob(f".*.{ending}"):
            shutil.rmtree(path, ignore_errors=True)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Have the disk keep what was written: a file, or the names in a folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
