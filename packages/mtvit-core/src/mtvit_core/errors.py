"""Errors a user can cause: one line each, saying where, what was found, what is allowed and how to fix it."""

import difflib
from collections.abc import Iterable


class MtvitError(Exception):
    """Base of every error that mtvit raises on purpose; the commands print it on one line and exit with 2."""


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
