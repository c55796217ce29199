"""Which data set's categories a published model knows, told by its number of classes and their names."""

import re
from collections.abc import Mapping, Sequence

from mtvit_core.structures.categories import Categories, Category

#: Names that stand for none: of unused columns, and of classes that nobody named.
_UNUSED = "N/A"
_UNNAMED = re.compile(r"LABEL_\d+")


def _given(names: Mapping[str, str]) -> dict[int, str]:
    return {int(key): name for key, name in names.items() if not _UNNAMED.fullmatch(name)}


def ordered_categories(columns: int, names: Mapping[str, str], known: Sequence[Categories]) -> Categories:
    """Return the categories of a head whose columns are those of a data set in order.

    Args:
        columns: Columns but that of "no object".
        names: Name of each column, by its number as text; empty where the source has none.
        known: Data sets to recognise, by the number of their categories where there are no names.
    """
    given = _given(names)
    for categories in known:
        own = {label: category.name for label, category in enumerate(categories)}
        if len(own) == columns and (not given or given == own):
            return categories
    return Categories(tuple(Category(i, given.get(i, f"class {i}")) for i in range(columns)))


def named_categories(columns: int, names: Mapping[str, str], coco: Categories) -> Categories:
    """Return the categories of a head in which the column of a class is its id.

    Args:
        columns: Columns but that of "no object".
        names: Name of each column, by its number as text; empty where the source has none.
        coco: COCO's categories, taken where all names are its, or where 91 columns have none.
    """
    used = {key: name for key, name in _given(names).items() if name != _UNUSED and 0 <= key < columns}
    known = {category.id: category.name for category in coco}
    if columns == max(known) + 1 and (not used or used == known):
        return coco
    if not used:
        used = {column: f"class {column}" for column in range(columns)}
    return Categories(tuple(Category(id_, name) for id_, name in sorted(used.items())))
