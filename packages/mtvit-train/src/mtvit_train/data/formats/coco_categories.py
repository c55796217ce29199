"""Categories of annotation files, with their keypoint schemas."""

import re
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_train.data.formats.fields import Entry, number_id, numbers, text

#: A word that says which side a keypoint is on.
SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)


def parse_category(entry: Entry, where: str) -> Category:
    """Check one entry of ``categories``.

    Beyond COCO's fields, a category may state the OKS constants of its keypoints as ``sigmas``.

    Args:
        entry: The JSON object.
        where: Start of the error message.

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
        skeleton=_skeleton(entry.get("skeleton") or [], len(names), where),
        flip_pairs=flip_pairs(names),
        sigmas=_sigmas(entry, names, where),
    )
    return Category(number, text(entry, "name", where), schema)


def flip_pairs(names: list[str]) -> tuple[tuple[int, int], ...]:
    """Find the keypoints that a mirror swaps, by names such as ``left_eye`` and ``Right Eye``.

    Empty where a name has a side but no partner: half a rule would mirror some keypoints wrongly, and no
    pairs means that images with this category are never flipped.
    """
    pairs = []
    place = {name.lower(): index for index, name in enumerate(names)}
    for name, index in place.items():
        mirrored = SIDE.sub(lambda side: "right" if side[0].lower() == "left" else "left", name)
        if mirrored == name:
            continue
        if mirrored not in place:
            return ()
        if index < place[mirrored]:
            pairs.append((index, place[mirrored]))
    return tuple(pairs)


def _skeleton(value: Any, count: int, where: str) -> tuple[tuple[int, int], ...]:
    bones = []
    for bone in value if isinstance(value, list) else [value]:
        if not (
            isinstance(bone, list)
            and len(bone) == 2
            and all(type(i) is int and 1 <= i <= count for i in bone)
        ):
            raise DataError(
                f"{where}: skeleton holds {bone!r:.40}; a bone is two keypoint numbers from 1 to {count}."
            )
        bones.append((bone[0] - 1, bone[1] - 1))
    return tuple(bones)


def _sigmas(entry: Entry, names: list[str], where: str) -> tuple[float, ...]:
    if "sigmas" in entry:
        sigmas = numbers(entry["sigmas"], "sigmas", where, len(names))
        if min(sigmas) <= 0:
            raise DataError(f"{where}: sigmas holds {min(sigmas):g}; all must be above 0.")
        return tuple(sigmas)
    return COCO_PERSON.sigmas if tuple(names) == COCO_PERSON.names else ()
