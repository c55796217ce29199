"""The beginning of a run: until its first update, an error leaves the run folder as it was found."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtvit_train.distributed.stop_signals import StopAsked
from mtvit_train.state.atomic_folder import DiskError


@contextmanager
def beginning(out: Path, *, fresh: bool) -> Iterator[None]:
    """Take back what is written to a run folder, and its new parents, if an error ends the block.

    A run that is asked to stop can go on, and so can one whose disk is full: their folder stays.

    Args:
        out: The run folder.
        fresh: It is this run's to fill; otherwise, and where it holds something already, it is left alone.
    """
    new = [folder for folder in (out, *out.parents) if not folder.is_dir()]
    ours = fresh and (out in new or not any(out.iterdir()))
    try:
        yield
    except (StopAsked, DiskError):
        raise
    except Exception:
        if ours and out.is_dir():
            for made in out.iterdir():  # the folder itself may be a link or a mount
                if made.is_dir():
                    shutil.rmtree(made, ignore_errors=True)
                else:
                    made.unlink()
            for folder in new:
                with suppress(OSError):  # another run may have put something there
                    folder.rmdir()
        raise
