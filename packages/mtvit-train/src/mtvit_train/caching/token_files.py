"""Context tokens of many samples in files of a bounded size, each there whole or not at all.

000000.safetensors   tokens of the first samples, one tensor n S D a block; its header holds the key of the
                     cache and a checksum
"""

import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.files import flush
from mtvit_train.caching.plan import CachePlan
from mtvit_train.state.stored_tensors import TensorFile

#: Samples of one pass of the backbone when tokens are computed. Always so many, whatever the batches and the
#: processes of the run: else the last bits would depend on them.
PASS = 8
#: Most bytes of a file, if it holds one pass at least.
FILE_BYTES = 2**26
#: What the header holds, key and checksum; two entries would come in any order.
STAMP = "cache"


class TokenFiles:
    """The tokens of all views of one cache.

    Attributes:
        folder: Where the files lie.
        plan: What they hold.
        in_file: Samples of a file, but for the last one.
    """

    def __init__(self, folder: Path, plan: CachePlan) -> None:
        """Name the folder, which has to be there."""
        self.folder, self.plan = folder, plan
        self.in_file = max(PASS, FILE_BYTES // plan.bytes_each // PASS * PASS)
        self._open: dict[int, TensorFile] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind when sent to another process."""
        return {**self.__dict__, "_open": {}}

    @property
    def files(self) -> int:
        """Number of files that it takes."""
        return -(-self.plan.count // self.in_file)

    def path(self, file: int) -> Path:
        """Return the path of a file."""
        return self.folder / f"{file:06d}.safetensors"

    def samples(self, file: int) -> range:
        """Return the numbers of the samples in a file."""
        return range(file * self.in_file, min(self.plan.count, (file + 1) * self.in_file))

    def __getitem__(self, number: int) -> dict[int, Tensor]:
        """Return the tokens of one sample, as windows on the file.

        Raises:
            DataError: the file was removed.
        """
        file, row = divmod(number, self.in_file)
        if file not in self._open:
            self._open[file] = TensorFile(self.path(file))
        try:
            tensors = self._open[file].tensors
        except (OSError, SafetensorError) as cause:
            raise DataError(
                f"{self.path(file)}: cached tokens cannot be read ({cause}); go on with --resume, which "
                "computes them again."
            ) from None
        return {depth: tensors.get_slice(str(depth))[row] for depth in self.plan.depths}

    def whole(self, file: int) -> bool:
        """Tell whether a file is there, belongs to this cache, and is as it was written."""
        try:
            with safe_open(self.path(file), framework="pt") as stored:
                stamp: str = (stored.metadata() or {}).get(STAMP, "")
                key, _, found = stamp.partition(" ")
                if key != self.plan.key:
                    return False
                return found == checksum({d: stored.get_tensor(str(d)) for d in self.plan.depths})
        except (OSError, SafetensorError):
            return False

    def write(self, file: int, tokens: Mapping[int, Tensor]) -> None:
        """Write a file.

        Args:
            file: Its number.
            tokens: n S D by block.

        Raises:
            OSError: the disk is full, or refuses; nothing of the attempt is left.
            SafetensorError: the same.
        """
        told = {STAMP: f"{self.plan.key} {checksum(tokens)}"}
        partial = self.folder / f".{file:06d}-{uuid.uuid4().hex}.partial"  # another run may write the same
        try:
            save_file({str(depth): value for depth, value in tokens.items()}, partial, told)
            flush(partial)
            partial.replace(self.path(file))
        finally:
            partial.unlink(missing_ok=True)


def checksum(tokens: Mapping[int, Tensor]) -> str:
    """Return a checksum of tensors on the CPU, in the order of their depths."""
    found = 0
    for depth in sorted(tokens):
        found = zlib.crc32(tokens[depth].contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"
