"""What a plugin says of a kind of published checkpoint: what model it is, and where each weight goes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mtvit_core.backbones.interface import Option
from mtvit_core.published.recipe import Recipe
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing

#: Prefix of the keys of base weights, where a source holds differences to them.
BASE = "base:"
Choice = Literal["base", "dataset", "image_size"]


@dataclass(frozen=True)
class Choices:
    """What a user may say about a conversion; a format lists in ``takes`` what it can use.

    Attributes:
        base: The weights to which the source holds differences.
        dataset: Of a model for several data sets, the one to convert.
        image_size: Rows and columns of the canvas, where not those of the source.
    """

    base: Source | None = None
    dataset: str | None = None
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Blueprint:
    """How to build the model of a source, and how to fill it.

    Attributes:
        backbone: Name of the backbone, see ``mtvit_core.create_backbone``.
        canvas: Rows and columns of whole images.
        tasks: Settings of each task, by name.
        categories: Classes, with original ids and names.
        recipes: How each tensor of the model is made, by its key.
        ignored: Keys of the source that are no part of the model, as weights of its loss.
        options: Arguments of the backbone.
        framing: How whole images come onto a canvas; None fits them into the model's own.
        person_canvas: Rows and columns of person crops.
    """

    backbone: str
    canvas: tuple[int, int]
    tasks: Mapping[str, Mapping[str, Any]]
    categories: Categories
    recipes: Mapping[str, Recipe]
    ignored: frozenset[str] = frozenset()
    options: Mapping[str, Option] = field(default_factory=dict)
    framing: Framing | None = None
    person_canvas: tuple[int, int] = (256, 192)


@dataclass(frozen=True)
class KnownModel:
    """A checkpoint that somebody published.

    Attributes:
        name: What people call it.
        source: Exact hub id or name of the official file.
        task: Name of the task that it does.
        parameters: Number of parameters in millions.
        accuracy: What its authors report, with metric and data.
        reference: Where they report it.
        licence: Licence of the weights.
    """

    name: str
    source: str
    task: str
    parameters: float
    accuracy: str
    reference: str
    licence: str


class PublishedFormat(ABC):
    """A kind of published checkpoint.

    A plugin returns objects of such classes from the hook ``mtvit_published``.

    Attributes:
        name: What the kind is called, as ``yolos (transformers)``.
        models: Checkpoints of this kind that are known.
        takes: Which ``Choices`` mean something to it; others are refused.
        pickles: Classes that its pickled files name.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[KnownModel, ...]] = ()
    takes: ClassVar[frozenset[Choice]] = frozenset()
    pickles: ClassVar[tuple[type, ...]] = ()

    @abstractmethod
    def fits(self, source: Source) -> bool:
        """Tell from the settings or a few keys whether a source is of this kind; sizes are checked later."""

    @abstractmethod
    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model.

        Raises:
            CheckpointError: the source is of this kind, but says something that cannot be followed.
        """
