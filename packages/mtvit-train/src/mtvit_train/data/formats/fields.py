"""Reading single fields of annotation files: of the right type, or an error that says where."""

from typing import Any

from mtvit_core.errors import DataError
from mtvit_train.data.formats.faults import STOP, Faults

Entry = dict[str, Any]

# Ids are kept as 64-bit integers.
_ID_LIMIT = 2**63
# Far beyond any pixel, and safe to square in single precision.
_NUMBER_LIMIT = 1e9


def need(entry: Entry, key: str, where: str) -> Any:
    """Return ``entry[key]``.

    Raises:
        DataError: The key is missing.
    """
    if key not in entry:
        raise DataError(f"{where} has no {key!r}; add it, as COCO's format asks.")
    return entry[key]


def number_id(entry: Entry, key: str, where: str) -> int:
    """Return an id: a whole number.

    Raises:
        DataError: It is missing or something else.
    """
    value = need(entry, key, where)
    if type(value) is not int or not -_ID_LIMIT <= value < _ID_LIMIT:
        raise DataError(f"{where}: {key} is {_show(value)}; ids are whole numbers of at most 64 bits.")
    return value


def text(entry: Entry, key: str, where: str) -> str:
    """Return a text that is not empty.

    Raises:
        DataError: It is missing or something else.
    """
    value = need(entry, key, where)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is {_show(value)}; it must be a text.")
    return value


def numbers(value: Any, what: str, where: str, count: int | None = None) -> list[float]:
    """Return a list of numbers from -1e9 to 1e9, ``count`` of them if given.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: {what} is {_show(value)}; it must be a list of numbers.")
    if count is not None and len(value) != count:
        raise DataError(f"{where}: {what} holds {len(value)} numbers; it must hold {count}.")
    bad = [v for v in value if type(v) not in (int, float) or not abs(v) <= _NUMBER_LIMIT]
    if bad:
        raise DataError(f"{where}: {what} holds {_show(bad[0])}; allowed are numbers from -1e9 to 1e9.")
    return value


def entries(document: Entry, key: str, where: str, faults: Faults = STOP) -> list[tuple[int, Entry]]:
    """Return a list of JSON objects, each with its place.

    Args:
        document: The object that holds the list.
        key: Its name there.
        where: Start of the error message.
        faults: What to do at an entry that is no object.

    Raises:
        DataError: It is missing or something else.
    """
    value = need(document, key, where)
    if not isinstance(value, list):
        raise DataError(f"{where}: {key!r} is {_show(value)}; it must be a list.")
    found: list[tuple[int, Entry]] = []
    for place, entry in enumerate(value):
        with faults:
            if not isinstance(entry, dict):
                raise DataError(f"{where}: entry {place} of {key!r} is {_show(entry)}; it must be an object.")
            found.append((place, entry))
    return found


def _show(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
