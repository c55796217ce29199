"""Left and right in the names of keypoints: which two of them a mirror swaps."""

import re
from collections.abc import Sequence

#: Words of a name: at spaces, dashes, dots, underscores, digits, and where lower case meets upper case.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
_SHORT = {"left": "l", "right": "r"}
#: A side at the start of a word that no capital ends, as in ``Rknee``.
_GLUED = re.compile(r"[LR](?=[a-z]{2})")


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Find the keypoints that a mirror swaps.

    Known are ``left_eye``, ``Right Eye``, ``L_Eye``, ``eye-r``, ``lShoulder``, ``LEye``, ``eyeL``, ``legL1``,
    and ``Rknee`` beside ``Lknee``. Empty where a name has a side but no partner, or may have a side that it
    does not tell: half a rule would mirror some keypoints wrongly, and no pairs means that images with this
    category are never flipped.

    Args:
        names: Of all keypoints of a category.
    """
    pairs, doubtful = _pairs(names)
    return () if doubtful else pairs


def unpaired(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that keep a schema from being mirrored: sided, without a partner or a side told."""
    return _pairs(names)[1]


def _pairs(names: Sequence[str]) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    place = {_key(name): index for index, name in enumerate(names)}
    pairs, doubtful, sided = [], [], set[int]()
    for index, name in enumerate(names):
        mirrored, sure = _mirrored(name)
        other = place.get(mirrored)
        if other is not None and other != index:
            sided.add(index)
            if index < other:
                pairs.append((index, other))
        elif mirrored and sure:
            doubtful.append(name)
    doubtful += _numbered([name for index, name in enumerate(names) if index not in sided])
    return tuple(pairs), tuple(dict.fromkeys(doubtful))


def same_name(one: str, other: str) -> bool:
    """Tell whether two names are the same but for case, order of words and spelling of sides."""
    first, second = ([_SHORT.get(word, word) for word in words(name)] for name in (one, other))
    return bool(first) and sorted(first) == sorted(second)


def words(name: str) -> list[str]:
    """Return the words of a name in lower case; a number is a word."""
    return [word.lower() for word in _WORD.findall(name)]


def _key(name: str) -> str:
    return "_".join(words(name))


def _mirrored(name: str) -> tuple[str, bool]:
    """Return the key of the name on the other side, and whether the name surely has a side."""
    own = words(name)
    sides = [i for i, word in enumerate(own) if word in _OTHER]
    if len(sides) == 1 and len(own) > 1:
        own[sides[0]] = _OTHER[own[sides[0]]]
        return "_".join(own), True
    glued = _GLUED.match(name)
    if not sides and glued:
        return _key(_OTHER[glued[0].lower()].upper() + name[1:]), False
    return "", bool(sides)


def _numbered(names: Sequence[str]) -> list[str]:
    """Names that differ in a number only, as ``face-0`` to ``face-67``: a mirror may swap any two of them."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stem = re.sub(r"\d+", "#", name)
        if stem != name:
            stems.setdefault(stem, []).append(name)
    return [name for group in stems.values() if len(group) > 1 for name in group]
