"""Categories of annotation files, with their keypoint schemas."""

from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.sides import flip_pairs
from mtvit_core.structures.categories import Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.data.formats.documents.known_points import known_points
from mtvit_train.data.formats.fields import Entry, number_id, numbers, text


def parse_category(entry: Entry, where: str, notes: list[str]) -> Category:
    """Check one entry of ``categories``.

    Beyond COCO's fields, a category may state the OKS constants of its keypoints as ``sigmas``, and the names
    of those that a mirror swaps, two by two, as ``flip_pairs``.

    Args:
        entry: The JSON object.
        where: Start of the error message.
        notes: Given a line where bones are left out.

    Raises:
        DataError: A field is missing or malformed.
    """
    number = number_id(entry, "id", where)
    where = f"{where} (id {number})"
    names = entry.get("keypoints")
    if names is None or names == []:
        return Category(number, text(entry, "name", where))
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"{where}: keypoints is {names!r:.40}; it must be a list of names.")
    if len(set(names)) < len(names):
        raise DataError(f"{where}: keypoints holds a name twice; each keypoint needs its own.")
    schema = KeypointSchema(
        names=tuple(names),
        skeleton=_skeleton(entry.get("skeleton") or [], len(names), where, notes),
        flip_pairs=_pairs(entry, names, where),
        sigmas=_sigmas(entry, names, where),
    )
    return Category(number, text(entry, "name", where), schema)


def _skeleton(value: Any, count: int, where: str, notes: list[str]) -> tuple[tuple[int, int], ...]:
    """Return the bones, 0-based; they only serve pictures, so those that lead nowhere are left out."""
    bones = value if isinstance(value, list) else [value]
    for bone in bones:
        if not (isinstance(bone, list) and len(bone) == 2 and all(type(i) is int for i in bone)):
            raise DataError(
                f"{where}: skeleton holds {bone!r:.40}; a bone is two keypoint numbers from 1 to {count}."
            )
    beyond = [bone for bone in bones if not all(1 <= i <= count for i in bone)]
    if beyond:
        notes.append(
            f"{where}: skeleton holds {len(beyond)} bones between keypoints that are not there, as "
            f"{beyond[0]} (they are numbered from 1 to {count}); pictures leave them out."
        )
    return tuple((a - 1, b - 1) for a, b in bones if [a, b] not in beyond)


def _pairs(entry: Entry, names: list[str], where: str) -> tuple[tuple[int, int], ...]:
    if "flip_pairs" not in entry:
        known = known_points(names)
        faces = () if known is None else known.face_pairs
        numbered = {i for pair in faces for i in pair}
        lone = range(known.unnamed, known.unnamed + 68) if known and known.unnamed is not None else ()
        told = [name for i, name in enumerate(names) if i not in numbered and i not in lone]
        pairs = [(names.index(told[a]), names.index(told[b])) for a, b in flip_pairs(told)]
        return (*pairs, *faces)
    stated = entry["flip_pairs"]
    sound = isinstance(stated, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(name in names for name in pair) for pair in stated
    )
    if not sound:
        raise DataError(
            f"{where}: flip_pairs is {stated!r:.40}; it must be a list of pairs of names of its keypoints."
        )
    return tuple((names.index(a), names.index(b)) for a, b in stated)


def _sigmas(entry: Entry, names: list[str], where: str) -> tuple[float, ...]:
    if "sigmas" in entry:
        sigmas = numbers(entry["sigmas"], "sigmas", where, len(names))
        if min(sigmas) <= 0:
            raise DataError(f"{where}: sigmas holds {min(sigmas):g}; all must be above 0.")
        return tuple(sigmas)
    known = known_points(names)
    return () if known is None else known.sigmas
