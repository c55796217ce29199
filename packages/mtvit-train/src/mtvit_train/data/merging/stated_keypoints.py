"""What settings state about the keypoints of a category, and what stands in where nobody states it."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from mtvit_core.errors import ConfigError, did_you_mean
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.data.packed import PackedAnnotations

#: The sigma of a keypoint whose own nobody knows: between those of a COCO hip (0.107) and eye (0.025), so a
#: point may be off by 0.1 of the object's size, the square root of its area, and still count half or more.
STAND_IN_SIGMA = 0.05


class KeypointsConfig(BaseModel):
    """A table ``[keypoints.<category>]``.

    Attributes:
        sigmas: Constants of OKS, one per keypoint; those of the data where empty.
        flip_pairs: Names of the keypoints that a mirror swaps, two by two; found by their names where empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigmas: tuple[float, ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] = ()


def stated(packed: PackedAnnotations, settings: Mapping[str, KeypointsConfig]) -> PackedAnnotations:
    """Return a data set whose keypoints are as the settings state.

    Args:
        packed: The data set.
        settings: By name of the category.

    Raises:
        ConfigError: a category or a keypoint is not there, or sigmas do not fit the keypoints.
    """
    by_name = {category.name: category for category in packed.categories}
    for name, setting in settings.items():
        where = f"config: keypoints.{name}"
        category = by_name.get(name)
        if category is None or category.keypoints is None:
            posed = [c.name for c in packed.categories if c.keypoints is not None]
            raise ConfigError(
                f"{where}: no category of this name has keypoints; those that have: "
                f"{', '.join(posed) or 'none'}.{did_you_mean(name, posed)}"
            )
        schema = _with_sigmas(category.keypoints, setting.sigmas, where)
        by_name[name] = replace(category, keypoints=_with_pairs(schema, setting.flip_pairs, where))
    if not settings:
        return packed
    items = tuple(by_name[category.name] for category in packed.categories)
    return replace(packed, categories=replace(packed.categories, items=items))


def _with_sigmas(schema: KeypointSchema, sigmas: tuple[float, ...], where: str) -> KeypointSchema:
    if not sigmas:
        return schema
    if len(sigmas) != len(schema.names) or min(sigmas) <= 0:
        raise ConfigError(
            f"{where}.sigmas: {len(sigmas)} numbers, the least {min(sigmas):g}; give one above 0 for each "
            f"of the {len(schema.names)} keypoints."
        )
    return replace(schema, sigmas=sigmas)


def _with_pairs(schema: KeypointSchema, pairs: tuple[tuple[str, str], ...], where: str) -> KeypointSchema:
    if not pairs:
        return schema
    named = [name for pair in pairs for name in pair]
    for name in named:
        if name not in schema.names or named.count(name) > 1:
            found = "is listed twice" if name in schema.names else "is no keypoint"
            raise ConfigError(
                f"{where}.flip_pairs: {name!r} {found}; name each keypoint that a mirror swaps once, of: "
                f"{', '.join(schema.names)}."
            )
    places = tuple((schema.names.index(a), schema.names.index(b)) for a, b in pairs)
    return replace(schema, flip_pairs=places)


def with_every_sigma(categories: Categories) -> tuple[Categories, tuple[str, ...]]:
    """Return categories whose keypoints all have sigmas, and a line for each that got the stand-in."""
    settled, notes = list[Category](), list[str]()
    for category in categories:
        schema = category.keypoints
        if schema is not None and not schema.sigmas:
            schema = replace(schema, sigmas=(STAND_IN_SIGMA,) * len(schema.names))
            notes.append(
                f"SIGMAS of category {category.name!r} are not given: its poses are scored with "
                f"{STAND_IN_SIGMA} for each keypoint, so AP compares with no published one. Give your own by "
                f"keypoints.{category.name}.sigmas."
            )
        settled.append(replace(category, keypoints=schema))
    return replace(categories, items=tuple(settled)), tuple(notes)


def notes_of_mirrors(categories: Categories) -> tuple[str, ...]:
    """Return a line for each category that keeps its images from being mirrored."""
    return tuple(
        f"category {category.name!r}: left and right of its keypoints are not known, so its images are never "
        f"mirrored; name the pairs by keypoints.{category.name}.flip_pairs."
        for category in categories
        if category.keypoints is not None and not category.keypoints.flip_pairs
    )
