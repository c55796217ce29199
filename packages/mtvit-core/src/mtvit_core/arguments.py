"""Arguments of public functions: what is none of the kinds they take is refused in one line that names it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from torch import Tensor

from mtvit_core.errors import ConfigError, DataError, MtvitError

#: Kinds of numbers that stand for a share, a score or a threshold.
NUMBER = (int, float, np.number)


def shown(value: object, most: int = 60) -> str:
    """Return a value as it is written in Python, on one line of so many characters at most."""
    return " ".join(repr(value).split())[:most]


def refuse(argument: str, value: object, wanted: str, error: type[MtvitError] = ConfigError) -> MtvitError:
    """Return the error that says what an argument is and what is to be given."""
    return error(f"{argument}: {shown(value)} is a {type(value).__name__}; give {wanted}.")


def require(
    argument: str,
    value: object,
    kinds: type | tuple[type, ...],
    wanted: str,
    error: type[MtvitError] = ConfigError,
) -> None:
    """Refuse a value of another kind.

    Args:
        argument: Function and argument, as ``export: model``.
        value: What was given.
        kinds: What may be given; True and False are no numbers.
        wanted: The same in words.
        error: What to raise.

    Raises:
        MtvitError: of the kind ``error``.
    """
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise refuse(argument, value, wanted, error)


def as_path(argument: str, value: object, error: type[MtvitError] = ConfigError) -> Path:
    """Return a path that the system can look up, whether or not something is there.

    Raises:
        MtvitError: it is no text, or none that can name a file.
    """
    require(argument, value, (str, Path), "a path, as a text or a pathlib.Path", error)
    path = Path(str(value))
    try:
        path.exists()
        if "\0" in str(path):
            raise ValueError("it holds a null character")
    except (OSError, ValueError) as cause:
        raise error(f"{argument}: {shown(str(value))} cannot be looked up ({cause}); correct it.") from None
    return path


def require_size(argument: str, size: object, most: int = 32768) -> None:
    """Refuse what is no number of rows and of columns.

    Raises:
        ConfigError: naming the argument.
    """
    whole = isinstance(size, Sequence) and all(
        isinstance(n, int) and not isinstance(n, bool) and 0 < n <= most for n in size
    )
    if not whole or not isinstance(size, Sequence) or len(size) != 2:
        raise ConfigError(
            f"{argument}: {shown(size)} is no size; give rows and columns, as (640, 640), up to {most}."
        )


def require_table(argument: str, value: object, wanted: str) -> Mapping[str, Any]:
    """Return a mapping by name.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refuse(argument, value, wanted)
    return value


def listed(value: object) -> TypeGuard[Iterable[Any]]:
    """Tell whether a value is several: no text, no bytes, no array or tensor of one number."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        return False
    return not isinstance(value, np.ndarray | Tensor) or value.ndim > 0


def as_tuple(argument: str, value: object, kind: type) -> tuple[Any, ...]:
    """Return values of one kind in order; whole numbers may stand for numbers, no text for a list of texts.

    Raises:
        DataError: it is something else.
    """
    kinds = NUMBER if kind is float else (kind,)
    given = tuple(value) if listed(value) else ()
    odd = [one for one in given if not isinstance(one, kinds)]
    if not listed(value) or isinstance(value, Mapping) or odd:
        raise refuse(argument, odd[0] if odd else value, f"a list of {kind.__name__}", DataError)
    return given
