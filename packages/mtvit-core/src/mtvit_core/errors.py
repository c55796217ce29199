"""Errors a user can cause: one line each, saying where, what was found, what is allowed and how to fix it."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_BREAK = re.compile(r"\s*[\n\r]\s*")


class MtvitError(Exception):
    """Base of every error that mtvit raises on purpose; the commands print it on one line and exit with 2."""

    def __str__(self) -> str:
        """Return the message, on one line whatever values it shows."""
        return _BREAK.sub(" ", super().__str__())


class ConfigError(MtvitError):
    """A setting is unknown, of the wrong type or in conflict with another one."""


class PluginError(MtvitError):
    """A plugin is missing, broken or breaks the contract."""


class ShapeError(MtvitError):
    """A tensor has a shape that the model cannot take."""


class DataError(MtvitError):
    """A file of images or annotations is missing or malformed."""


class CheckpointError(MtvitError):
    """A checkpoint is missing, torn or does not fit."""


class DivergedError(MtvitError):
    """A loss, a gradient or a prediction is not finite; no weight was updated with it."""


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest allowed word, or an empty string where none is near."""
    nearest = difflib.get_close_matches(found, list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def one_line(cause: BaseException, most: int = 200) -> str:
    """Return the kind of an exception and what it says, on one line of so many characters at most."""
    words = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {words[:most]}" if words else type(cause).__name__


@contextmanager
def making_sense_of(what: str, remedy: str, kind: type[MtvitError] = DataError) -> Iterator[None]:
    """Turn what code raises on data of another form than it expects into one line; mtvit's own errors pass.

    Args:
        what: Where the data are from.
        remedy: What to do about it.
        kind: The error to raise.

    Raises:
        MtvitError: of this kind, where something else was raised.
    """
    try:
        yield
    except MtvitError:
        raise
    except Exception as cause:
        raise kind(f"{what} is not of the form expected ({one_line(cause)}); {remedy}.") from cause
