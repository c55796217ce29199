"""The categories of several data sets as one list.

A category is the same in two data sets where its id and its name are the same (``merge = "id"``), or where
its name is (``merge = "name"``). Its keypoints are those of the first data set that has some.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.structures.categories import Categories, Category

#: What makes two categories the same.
Merge = Literal["id", "name"]
_BY_NAME = 'make them equal, or merge by name: merge = "name"'


class UnknownCategoryError(DataError):
    """A data set has a category that a model does not know."""


def unite(sets: Mapping[str, Categories], merge: Merge) -> Categories:
    """Return every category of the data sets once, in the order of the ids.

    By name, an id that another category has already becomes the next free one after all ids.

    Args:
        sets: Categories by name of the data set.
        merge: What makes two categories the same.

    Raises:
        DataError: two data sets contradict each other.
    """
    found: dict[str, Category] = {}
    owner: dict[str, str] = {}
    free = 1 + max(category.id for categories in sets.values() for category in categories)
    for name, categories in sets.items():
        _check_names(name, categories)
        for category in categories:
            first = found.get(category.name)
            if merge == "id":
                _check_same(category, name, found, owner)
            if first is None:
                taken = any(other.id == category.id for other in found.values())
                found[category.name] = replace(category, id=free) if taken else category
                owner[category.name] = name
                free += taken
            else:
                found[category.name] = replace(first, keypoints=first.keypoints or category.keypoints)
    items = tuple(sorted(found.values(), key=lambda category: category.id))
    return Categories(items, unite_images(sets, merge))


def unite_images(sets: Mapping[str, Categories], merge: Merge) -> tuple[Category, ...]:
    """Return every class of whole images once, as ``unite`` does those of objects; arguments as there."""
    labelled = {name: categories.of_images for name, categories in sets.items() if categories.images}
    return unite(labelled, merge).items if labelled else ()


def _check_names(name: str, categories: Categories) -> None:
    ids: dict[str, int] = {}
    for category in categories:
        other = ids.setdefault(category.name, category.id)
        if other != category.id:
            raise DataError(
                f"data set {name!r}: categories {other} and {category.id} are both called {category.name!r}; "
                "give each its own name, by which data sets are merged."
            )


def _check_same(
    category: Category, name: str, found: Mapping[str, Category], owner: Mapping[str, str]
) -> None:
    """Refuse a category that shares only its id, or only its name, with one of another data set."""
    for other in found.values():
        sets = f"data sets {owner[other.name]!r} and {name!r}"
        if other.id == category.id and other.name != category.name:
            raise DataError(
                f"{sets}: category {category.id} is {other.name!r} in the one and {category.name!r} in the "
                f"other; {_BY_NAME}."
            )
        if other.name == category.name and other.id != category.id:
            raise DataError(
                f"{sets}: {category.name!r} is category {other.id} in the one and {category.id} in the "
                f"other; {_BY_NAME}."
            )


def first_difference(train: Categories, val: Categories) -> str:
    """Say where the categories of two splits differ first; empty where they do not."""
    both = train.images and val.images
    return _difference(train, val) or (_difference(train.of_images, val.of_images) if both else "")


def _difference(train: Categories, val: Categories) -> str:
    ours, theirs = ({category.id: category for category in split} for split in (train, val))
    for number in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(number), theirs.get(number)
        if mine == other:
            continue
        if mine is None or other is None or mine.name != other.name:
            said = " in train, ".join("not there" if c is None else repr(c.name) for c in (mine, other))
            what = f"category {number} is {said} in val"
        else:
            what = f"category {number} ({mine.name!r}) has other keypoints in train than in val"
        return f"the train and val annotations list different categories: {what}; make them equal."
    return ""


def place(category: Category, known: Categories, merge: Merge, where: str) -> int:
    """Return the label of a data set's category among those that a model knows.

    Raises:
        UnknownCategoryError: it is none of them, or its id stands for another one there.
    """
    for label, other in enumerate(known):
        if other.name == category.name and (merge == "name" or other.id == category.id):
            return label
    taken = known.label_of_id.get(category.id)
    if merge == "id" and taken is not None:
        raise UnknownCategoryError(
            f"{where}: category {category.id} is called {category.name!r}, but the model knows it as "
            f'{known[taken].name!r}; ids and names must agree, or merge by name: merge = "name".'
        )
    near = did_you_mean(category.name, (other.name for other in known))
    raise UnknownCategoryError(
        f"{where}: category {category.id} ({category.name!r}) is none of the {len(known)} that the model "
        f"knows.{near}"
    )


def notes_of_ids(own: Categories, known: Categories, merge: Merge, where: str) -> list[str]:
    """Say which categories of a data set have another id in the results."""
    moved = [(category, known[place(category, known, merge, where)].id) for category in own]
    changed = [f"{c.name!r} has id {new} instead of {c.id}" for c, new in moved if new != c.id]
    return [f"{where}: {', '.join(changed)}."] if changed else []
