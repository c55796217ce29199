"""A folder that is there whole or not at all: written beside its place, checked by sums, then renamed.

state.safetensors     the tensors; of those that are shared out over processes, the parts of the first one
state-1.safetensors   the parts of the second process, and so on, each written by its own
state.json            everything else, and where each part begins
SHA256SUMS            what `sha256sum --check SHA256SUMS` reads; written last
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mtvit_core.errors import CheckpointError
from mtvit_core.files import checksum, flush
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.state.state_tree import join, read, split
from mtvit_train.state.stored_tensors import Stored, TensorFile

TENSORS, PLAIN, SUMS = "state.safetensors", "state.json", "SHA256SUMS"

#: A process that writes or reads a folder without others.
ALONE = Ranks()


def tensors_of(rank: int) -> str:
    """Return the name of the file of tensors that a process writes."""
    return f"state-{rank}.safetensors" if rank else TENSORS


#: What the writers of files raise where the disk is full or refuses.
REFUSALS = (OSError, SafetensorError)


class DiskError(CheckpointError):
    """A file of a run could not be written; what was there before still is."""


@contextmanager
def writing(out: Path, command: str = "mtvit-train") -> Iterator[None]:
    """Say in one line that a run folder cannot be written to.

    Args:
        out: The folder.
        command: What goes on with the run.

    Raises:
        DiskError: the disk is full, or refuses.
    """
    try:
        yield
    except REFUSALS as cause:
        raise DiskError(
            f"out {out}: cannot be written to ({cause}); free some space or fix the disk, then resume with: "
            f"{command} --out {out} --resume"
        ) from cause


@contextmanager
def _filling(target: Path, ranks: Ranks) -> Iterator[None]:
    try:
        yield
    except REFUSALS as cause:
        who = f"process {ranks.rank}: " if ranks.rank else ""
        raise DiskError(
            f"{target}: cannot be written ({who}{cause}); free some space or fix the disk."
        ) from None


def write_folder(target: Path, state: Mapping[str, Any], ranks: Ranks = ALONE) -> None:
    """Write a nested state; a folder that is there already is replaced.

    Args:
        target: Folder to write; the folder around it may be made, but none further out.
        state: Mappings and lists of tensors and plain data.
        ranks: The processes that write together; each writes its parts of tensors that are shared out.

    Raises:
        DiskError: the disk is full, or refuses, to any process; nothing of the attempt is left.
    """
    partial = target.with_name(f".{target.name}.partial")
    tensors, plain = split(state, leads=ranks.leads)

    def begin() -> None:
        with _filling(target, ranks):
            if ranks.leads:
                shutil.rmtree(partial, ignore_errors=True)
                target.parent.mkdir(exist_ok=True)
                partial.mkdir()

    def write_own() -> str:
        with _filling(target, ranks):
            return _write_tensors(partial / tensors_of(ranks.rank), tensors) if tensors or ranks.leads else ""

    def end(sums: str) -> None:
        with _filling(target, ranks):
            if ranks.leads:
                _seal(partial, target, plain, sums)

    try:
        ranks.agree(begin)
        sums = "".join(ranks.agree(write_own))
        ranks.agree(lambda: end(sums))
    except DiskError:
        if ranks.leads:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    save_file(tensors, path)
    return _kept(path)


def _seal(partial: Path, target: Path, plain: Any, sums: str) -> None:
    """Write what is no tensor, and the sums of all files; then give the folder its name."""
    (partial / PLAIN).write_text(json.dumps(plain) + "\n", encoding="utf-8")
    sums += _kept(partial / PLAIN)
    (partial / SUMS).write_text(sums, encoding="utf-8")
    flush(partial / SUMS)
    flush(partial)
    remove_folder(target)
    partial.rename(target)
    flush(target.parent)


def open_folder(folder: Path, ranks: Ranks = ALONE) -> dict[str, Any]:
    """Read a nested state but for its tensors, which become ``Stored``; keys of mappings are text.

    Args:
        folder: What ``write_folder`` wrote, with any number of processes.
        ranks: The processes that read together; they share out the checking.

    Raises:
        CheckpointError: in all processes: a file is missing, torn or changed.
    """
    checked = {name for names in ranks.agree(lambda: _check(folder, ranks)) for name in names}
    plain = json.loads((folder / PLAIN).read_text(encoding="utf-8"))
    files: list[TensorFile] = []

    def stored(path: str, rows: Sequence[int]) -> Stored:
        while len(files) < max(1, len(rows) - 1):
            files.append(TensorFile(folder / tensors_of(len(files))))
        return Stored(path, tuple(files), rows)

    state: dict[str, Any] = join(plain, stored)
    for name in {file.path.name for file in files} - checked:
        raise _torn(folder, name)
    return state


def read_folder(folder: Path) -> dict[str, Any]:
    """Read a nested state; keys of mappings are text, tensors are whole, on the CPU.

    Raises:
        CheckpointError: a file is missing, torn or changed.
    """
    state: dict[str, Any] = read(open_folder(folder))
    return state


def _check(folder: Path, ranks: Ranks) -> list[str]:
    """Check this process's share of the files; return their names."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
        names = [*{TENSORS: "", PLAIN: "", **sums}][ranks.rank :: ranks.world]
        for name in names:
            if checksum(folder / name) != sums.get(name):
                raise _torn(folder, name)
    except (OSError, UnicodeDecodeError) as cause:
        raise CheckpointError(f"{folder}: cannot be read ({cause}).") from None
    return names


def _torn(folder: Path, name: str) -> CheckpointError:
    return CheckpointError(f"{folder}: {name} is damaged: its checksum differs from that in {SUMS}.")


def remove_folder(folder: Path) -> None:
    """Remove a folder if it is there; its name goes first, so that no half of it ever has it."""
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


def _kept(path: Path) -> str:
    """Have the disk keep a file, and return its line of sums."""
    flush(path)
    return f"{checksum(path)}  {path.name}\n"
