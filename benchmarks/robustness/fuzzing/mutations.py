"""Damage as files get it: bytes that change, are lost, repeated or swapped, and values of another kind."""

import json
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

#: Values that readers stumble over.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, -(2**31) - 1, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", " ", "0", "nan", "\x00", "../x", "ä" * 40, "a\nb", [], [[]], [None], [1, "a"], {},
    {"": {}}, {"a": [1]},
)  # fmt: skip
#: Numbers that stand for sizes, offsets and counts in binary files.
_EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x01", b"\x80")


def mutated(data: bytes, random: Random) -> bytes:
    """Return a file with one to eight faults."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        random.choice(_FAULTS)(changed, random)
    return bytes(changed)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(data: bytearray, random: Random) -> None:
    """Mostly near the start, where headers are."""
    value, span = random.choice(_EXTREMES), min(len(data), random.choice((16, 64, 256, len(data) or 1)))
    start = random.randrange(span) if span else 0
    data[start : start + len(value)] = value


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _lose(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    del data[start : start + random.choice((1, 4, 32, 512))]


def _repeat(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    data[start:start] = data[start : start + random.choice((1, 4, 32, 512))]


def _insert(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    data[start:start] = random.randbytes(random.choice((1, 2, 8, 64)))


_FAULTS: Sequence[Callable[[bytearray, Random], None]] = (_flip, _overwrite, _cut, _lose, _repeat, _insert)


def mutated_tree(tree: Any, random: Random) -> Any:
    """Return plain data in which one to five values were replaced, removed, repeated or moved."""
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        tree = _mutate_once(tree, random)
    return tree


def _mutate_once(tree: Any, random: Random) -> Any:
    tree = json.loads(json.dumps(tree))
    places = list(_places(tree))
    if not places:
        return random.choice(ODD)
    owner, key = random.choice(places)
    match random.randrange(5):
        case 0:
            del owner[key]
        case 1:
            owner[key] = random.choice(ODD)
        case 2 if isinstance(owner[key], int | float) and not isinstance(owner[key], bool):
            owner[key] = random.choice((-owner[key], owner[key] * 1000, owner[key] + 0.5, str(owner[key])))
        case 3 if isinstance(owner, list):
            owner.insert(key, owner[key])
        case _:
            other, place = random.choice(places)
            if isinstance(other, dict) or place < len(other):
                owner[key] = json.loads(json.dumps(other[place]))
    return tree


def _places(tree: Any) -> Any:
    """All places in plain data that hold a value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def with_header(data: bytes, change: Callable[[Any], Any]) -> bytes:
    """Return a safetensors file whose header was changed."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.dumps(change(json.loads(data[8 : 8 + size]))).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + size :]
