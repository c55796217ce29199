"""Categories: original ids and names, kept from the data set through checkpoints to results."""

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex

from mtvit_core.arguments import as_tuple, require, shown
from mtvit_core.errors import DataError, making_sense_of
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema

if TYPE_CHECKING:
    Id = int
    Name = str
else:  # those of numpy arrive here too; a category makes them plain, or refuses them
    Id = Name = object


@dataclass(frozen=True)
class Category:
    """One class of objects.

    Attributes:
        id: The id of the data set's files, kept as it is.
        name: The name of the data set's files.
        keypoints: The schema of its keypoints, or None where objects of this class have none.
    """

    id: Id
    name: Name
    keypoints: KeypointSchema | None = None

    def __post_init__(self) -> None:
        """Make the id a plain whole number, whatever kind of whole number is given.

        Raises:
            DataError: the id is no whole number, or the name no text.
        """
        if isinstance(self.id, bool) or not isinstance(self.id, SupportsIndex):
            raise DataError(f"category {shown(self.name)}: its id is {shown(self.id)}; give a whole number.")
        if not isinstance(self.name, str):
            raise DataError(f"category {self.id}: its name is {shown(self.name)}; give a text.")
        kinds = (KeypointSchema, type(None))
        require(
            f"category {self.id}: keypoints", self.keypoints, kinds, "a KeypointSchema or None", DataError
        )
        try:
            object.__setattr__(self, "id", operator.index(self.id))  # numpy's numbers are not JSON's
        except TypeError:  # an array of several
            raise DataError(
                f"category {shown(self.name)}: its id is {shown(self.id)}; give a whole number."
            ) from None
        object.__setattr__(self, "name", str(self.name))


@dataclass(frozen=True)
class Categories:
    """All classes of a data set in order; a *label* is an index into it, an *id* is the data set's own.

    Attributes:
        items: Classes of objects.
        images: Classes of whole images, with labels and ids of their own; none where no image has a class.
    """

    items: tuple[Category, ...]
    images: tuple[Category, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty list and ids that are listed twice."""
        for name in ("items", "images"):
            given = as_tuple(f"categories: {name}", getattr(self, name), Category)
            object.__setattr__(self, name, given)
        if not self.items:
            raise DataError("categories: the list is empty; a data set needs at least one category.")
        for listed in (self.items, self.images):
            counts = Counter(category.id for category in listed)
            twice = sorted(i for i, count in counts.items() if count > 1)
            if twice:
                raise DataError(f"categories: id {twice[0]} is listed more than once; ids must be unique.")

    def __len__(self) -> int:
        """Return the number of categories."""
        return len(self.items)

    def __iter__(self) -> Iterator[Category]:
        """Iterate in label order."""
        return iter(self.items)

    def __getitem__(self, label: int) -> Category:
        """Return the category of a label."""
        return self.items[label]

    @cached_property
    def label_of_id(self) -> dict[int, int]:
        """Label (index) of each original id."""
        return {category.id: label for label, category in enumerate(self.items)}

    @cached_property
    def of_images(self) -> "Categories":
        """Classes of whole images as a list of their own; those of objects where no image has a class."""
        return Categories(self.images) if self.images else self

    @property
    def keypoint_labels(self) -> tuple[int, ...]:
        """Labels of the categories that have keypoints."""
        return tuple(label for label, category in enumerate(self.items) if category.keypoints is not None)

    @property
    def max_keypoints(self) -> int:
        """Most keypoints of any category; 0 where none has keypoints."""
        return max((len(c.keypoints.names) for c in self.items if c.keypoints is not None), default=0)

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain data that ``from_json`` reads back."""
        objects = [
            {"id": c.id, "name": c.name, "keypoints": None if c.keypoints is None else c.keypoints.to_json()}
            for c in self.items
        ]
        images = [{"id": c.id, "name": c.name, "keypoints": None, "of": "images"} for c in self.images]
        return objects + images

    @classmethod
    def from_json(cls, data: list[dict[str, Any]]) -> "Categories":
        """Build categories from what ``to_json`` returned.

        Raises:
            DataError: it is something else.
        """
        with making_sense_of("categories: the list", "give what Categories.to_json returns"):
            listed: dict[bool, list[Category]] = {False: [], True: []}
            for entry in data:
                points = entry["keypoints"]
                schema = None if points is None else KeypointSchema.from_json(points)
                category = Category(entry["id"], entry["name"], schema)
                listed[entry.get("of") == "images"].append(category)
            return cls(tuple(listed[False]), tuple(listed[True]))


_NAMES = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, "
    ", stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, "
    "giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, snowboard, sports "
    "ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, , wine "
    "glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, "
    "pizza, donut, cake, chair, couch, potted plant, bed, , dining table, , , toilet, , tv, laptop, "
    "mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, , book, clock, "
    "vase, scissors, teddy bear, hair drier, toothbrush"
)


#: Ids run from 1 to 90 with ten gaps; a person has 17 keypoints.
COCO_CATEGORIES = Categories(
    tuple(
        Category(id_, name, COCO_PERSON if name == "person" else None)
        for id_, name in enumerate((part.strip() for part in _NAMES.split(",")), start=1)
        if name
    )
)
