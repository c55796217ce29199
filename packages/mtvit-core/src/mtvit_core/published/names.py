"""Which data set's categories a published model knows, told by its number of classes and their names."""

import re
from collections.abc import Mapping, Sequence

from mtvit_core.errors import CheckpointError
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import Categories, Category

#: Names that stand for none: of unused columns, and of classes that nobody named.
_UNUSED = "N/A"
_UNNAMED = re.compile(r"LABEL_\d+")


def given_names(source: Source, columns: int, what: str = "class columns") -> dict[int, str]:
    """Return what ``id2label`` calls the columns of a head; without those that nobody named.

    Args:
        source: The source.
        columns: Columns but that of "no object".
        what: What messages call them.

    Raises:
        CheckpointError: it names something that is no column.
    """
    said = source.config.get("id2label") or {}
    if not isinstance(said, Mapping):
        raise CheckpointError(f"source {source.where}: its config.json has id2label {said!r:.60}, no table.")
    names = {str(key): str(name) for key, name in said.items()}
    odd = [key for key in names if not (_is_number(key) and int(key) < columns)]
    odd = [key for key in odd if not _UNNAMED.fullmatch(names[key]) and names[key] != _UNUSED]
    if odd:
        raise CheckpointError(
            f"source {source.where}: id2label in its config.json names {', '.join(odd[:5])}, but the "
            f"{what} are 0 to {columns - 1}; number the names as the columns are, from 0."
        )
    return {int(key): name for key, name in names.items() if _is_number(key) and not _UNNAMED.fullmatch(name)}


def ordered_categories(source: Source, columns: int, known: Sequence[Categories]) -> Categories:
    """Return the categories of a head whose columns are those of a data set in order.

    Args:
        source: The source, whose names these are.
        columns: Columns but that of "no object".
        known: Data sets to recognise, by the number of their categories where there are no names.

    Raises:
        CheckpointError: something is named that is no column.
    """
    given = given_names(source, columns)
    for categories in known:
        own = {label: category.name for label, category in enumerate(categories)}
        if len(own) == columns and (not given or given == own):
            return categories
    return Categories(tuple(Category(i, given.get(i, f"class {i}")) for i in range(columns)))


def named_categories(source: Source, columns: int, coco: Categories) -> Categories:
    """Return the categories of a head in which the column of a class is its id.

    A column that is named ``N/A`` is none; a column without a name is a class with a made one.

    Args:
        source: The source, whose names these are.
        columns: Columns but that of "no object".
        coco: COCO's categories, taken where all names are its, or where 91 columns have none.

    Raises:
        CheckpointError: something is named that is no column, or no column is a class.
    """
    given = {key: name for key, name in given_names(source, columns).items() if key < columns}
    used = {key: name for key, name in given.items() if name != _UNUSED}
    known = {category.id: category.name for category in coco}
    if columns == max(known) + 1 and (not used or used == known):
        return coco
    if given and not used:
        raise CheckpointError(
            f"source {source.where}: id2label in its config.json calls every class N/A; name those that the "
            "model finds."
        )
    names = {i: given.get(i, f"class {i}") for i in range(columns)}
    return Categories(tuple(Category(id_, name) for id_, name in names.items() if name != _UNUSED))


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10
