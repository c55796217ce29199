"""Classes of dense labels: what a split names, and a split in the numbers of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mtvit_core.errors import DataError
from mtvit_train.data.packed import PackedAnnotations


def classes_of(packed: PackedAnnotations) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of every dense label that has some, in the order of their numbers.

    Raises:
        DataError: two data sets name different classes in one label: what one of them does not name would be
            taught as absent.
    """
    found: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for member in packed.members:
        for label, maps in member.maps.items():
            if not maps.classes:
                continue
            first = found.setdefault(label, maps.classes)
            other = owner.setdefault(label, member.name)
            odd = sorted(set(first) ^ set(maps.classes))
            if odd:
                raise DataError(
                    f"data sets {other!r} and {member.name!r}: dense label {label!r} has the class "
                    f"{odd[0]!r} in one of them only; name the same classes in both, or "
                    "leave the label out of one."
                )
    return found


def fit_map_classes(packed: PackedAnnotations, known: Mapping[str, Sequence[str]]) -> PackedAnnotations:
    """Return a split whose dense labels count their classes as a model does; it may lack some.

    Args:
        packed: The split.
        known: Names of the model's classes in the order of their numbers, by label.

    Raises:
        DataError: the model does not know a class.
    """
    members = []
    for member in packed.members:
        where = f"data set {member.name!r}, dense label"
        maps = {
            label: entry.fitted(known[label], f"{where} {label!r}") if label in known else entry
            for label, entry in member.maps.items()
        }
        members.append(replace(member, maps=maps))
    return replace(packed, members=tuple(members))
