"""The folder that holds the caches of all runs, and what makes room in it.

<folder>/<key>/000000.safetensors    see ``token_files``
<folder>/<key>/<number>.lock         held by each run that uses the cache
"""

import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mtvit_core.errors import ConfigError
from mtvit_train.state.atomic_folder import DiskError

_GB = 10**9


@dataclass(frozen=True)
class CacheRoom:
    """The folder of caches.

    Attributes:
        root: Where it is.
        limit: Most bytes it may hold.
    """

    root: Path
    limit: float

    @classmethod
    def of(cls, folder: str, max_gb: float) -> "CacheRoom":
        """Name the folder that settings name."""
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(Path(folder) if folder else home / "mtvit" / "tokens", max_gb * _GB)

    def folder(self, key: str) -> Path:
        """Return where a cache lies."""
        return self.root / key[:24]

    def take(self, sizes: Mapping[str, int], what: str) -> list[FileLock]:
        """Make room for some caches, and hold them until the process ends or lets go of the locks.

        Args:
            sizes: Bytes of each by its key.
            what: What they hold, for the message.

        Raises:
            ConfigError: they are larger than the limit or than the disk, or caches in use leave no room.
            DiskError: the folder cannot be made.
        """
        needed = sum(sizes.values())
        if needed > self.limit:
            raise ConfigError(
                f"cache: {what}, and cache.max_gb is {self.limit / _GB:g}; raise it, or lower cache.views."
            )
        own = [self.folder(key) for key in sizes]
        try:
            held = [_hold(folder) for folder in own]
        except OSError as cause:
            raise DiskError(
                f"cache {self.root}: cannot be written to ({cause}); name another folder with cache.folder."
            ) from None
        self._make_room(needed, own)
        missing = needed - sum(map(_size, own))
        free = shutil.disk_usage(self.root).free
        if missing > free:
            raise ConfigError(
                f"cache {self.root}: {missing / _GB:.1f} GB are to be written, but the disk has "
                f"{free / _GB:.1f} GB left; free some, name another folder with cache.folder, or lower "
                "cache.views."
            )
        return held

    def _make_room(self, needed: float, own: list[Path]) -> None:
        """Remove what was not used for longest, until the limit holds.

        Raises:
            ConfigError: what other runs use leaves too little.
        """
        others = [path for path in self.root.iterdir() if path.is_dir() and path not in own]
        sizes = {path: _size(path) for path in sorted(others, key=lambda path: path.stat().st_mtime)}
        for path in list(sizes):
            if needed + sum(sizes.values()) <= self.limit:
                return
            if not _in_use(path):
                shutil.rmtree(path, ignore_errors=True)
                del sizes[path]
        left = sum(sizes.values())
        if needed + left > self.limit:
            raise ConfigError(
                f"cache {self.root}: {needed / _GB:.2f} GB are needed, but other runs use "
                f"{left / _GB:.2f} GB and cache.max_gb is {self.limit / _GB:g}; raise it, or wait for them."
            )


def _hold(folder: Path) -> FileLock:
    """Say that a cache is used, from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _in_use(folder):
        for left in folder.glob(".*.partial"):
            left.unlink(missing_ok=True)
    # A new name in a folder is the time of its last use.
    lock = FileLock(folder / f"{uuid.uuid4().hex}.lock")
    lock.acquire()
    return lock


def _in_use(folder: Path) -> bool:
    """Tell whether a run holds a cache; locks of runs that have ended are removed."""
    for path in folder.glob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return True
        path.unlink(missing_ok=True)
    return False


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
