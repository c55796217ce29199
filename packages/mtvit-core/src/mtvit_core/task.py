"""The task contract: everything a plugin provides, from tokens to evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float, Int64
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from mtvit_core.agreement import QueryObjects
from mtvit_core.annotations import Annotations
from mtvit_core.categories import Categories
from mtvit_core.coco_engines import Engine
from mtvit_core.crops import CropRule
from mtvit_core.details import Details
from mtvit_core.geometry import ImageMeta
from mtvit_core.instances import Instances, concatenate
from mtvit_core.joining import Joining
from mtvit_core.matching import Match
from mtvit_core.tokens import TokenGroup

#: Version of this contract; a plugin built for another one is refused.
API = 1


class TaskConfig(BaseModel):
    """Base of every task's settings: unknown keys are errors, values do not change after loading.

    Defaults are held to the same limits as given values. The validator is built when it is first used, so
    that listing tasks costs little.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)


@dataclass(frozen=True)
class BackboneSpec:
    """What a task may know about the backbone when it builds its parts.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        patch: Rows and columns of a patch in pixels.
        canvas: Rows H and columns W that the model is built for.
        heads: Attention heads of a block.
    """

    width: int
    depth: int
    patch: tuple[int, int]
    canvas: tuple[int, int]
    heads: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows h and columns w of patches at the canvas the model is built for."""
        return self.canvas[0] // self.patch[0], self.canvas[1] // self.patch[1]


@runtime_checkable
class Targets(Protocol):
    """What a task's cost and loss read: a frozen dataclass of tensors, padded to the most instances."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of targets of each image, length B; 0 where the image is not labelled for the task."""
        ...

    @property
    def labelled(self) -> Bool[Tensor, " B"]:
        """Whether each image carries what the task needs; unlabelled images give no loss at all."""
        ...


@runtime_checkable
class SharedTargets(Targets, Protocol):
    """Targets of a task that joins an instance group."""

    @property
    def objects(self) -> Int64[Tensor, "B M"]:
        """Row of each target in the annotations of its image, on the CPU; any number in padding."""
        ...


class Evaluator(ABC):
    """Collects results against annotations and scores them."""

    @abstractmethod
    def update(
        self, results: Sequence[Instances], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images.

        Args:
            results: What the model found, in original pixels.
            annotations: The truth of the same images, in original pixels (not those of the canvas).
            meta: Image ids and original sizes.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what has been collected, as plain picklable data."""

    @abstractmethod
    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what has been collected by the union of several states; an image seen twice counts once."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the metrics, by names such as ``AP`` and ``AP50``; NaN where nothing was labelled."""

    def use_engine(self, engine: Engine) -> None:  # noqa: B027 (most evaluators of plugins need none)
        """Compute COCO's average precision by this engine; one that holds a ``CocoEvaluator`` tells it.

        An evaluator of other metrics has nothing to do.
        """

    def details(self, min_score: float) -> Details:
        """Return what a report shows beside the metrics; nothing unless an evaluator says otherwise.

        Args:
            min_score: Results below it are not to count where there is no curve over all scores.
        """
        return Details()


C = TypeVar("C", bound=TaskConfig)
P = TypeVar("P")
T = TypeVar("T", bound=Targets)


class Task(ABC, Generic[C, P, T]):
    """One question about an image: its tokens, head, loss, decoding and evaluation.

    A plugin subclasses it, sets the class attributes and returns the class from the hook ``mtvit_task``. The
    type parameters are its config, its predictions and its targets. A task holds no weights: ``tokens`` and
    ``head`` build the modules, and the model owns them under the task's name.

    Attributes:
        name: Prefix of its config table, losses, metrics and state-dict keys.
        api: Contract version it was written for, a number: ``api = 1``.
        Config: Its settings.
        needs: Kinds of label it learns from; images that lack one of them give it no loss.
        views: What it may look at, by its settings; ``view`` is one of them.
        linkable: Whether its results are single objects, which are linked with those of other tasks; results
            that speak of the whole image are not.
        exportable: Whether its head is made of tensor operations alone, which ``torch.export`` can follow.
        reads_patches: Whether its head reads patch or prefix tokens of the output; where no task does, the
            last block computes the queries alone.
        view: ``image``: it sees the whole image. ``person``: it sees one crop per person.
    """

    name: ClassVar[str]
    api: ClassVar[int]
    Config: ClassVar[type[TaskConfig]]
    needs: ClassVar[frozenset[str]]
    views: ClassVar[frozenset[str]] = frozenset({"image"})
    linkable: ClassVar[bool] = True
    exportable: ClassVar[bool] = False

    def __init__(self, config: C, categories: Categories) -> None:
        """Keep the settings and the categories.

        Args:
            config: An instance of ``Config``.
            categories: Classes of the data set or checkpoint.
        """
        self.config = config
        self.categories = categories

    @property
    def view(self) -> Literal["image", "person"]:
        """What the task is shown; ``image`` unless a task says otherwise."""
        return "image"

    @property
    def finds_boxes(self) -> bool:
        """Whether its results are objects in boxes, so that top-down tasks look at the people among them."""
        return False

    @property
    def reads_patches(self) -> bool:
        """Whether its head reads patch or prefix tokens of the output, not its queries alone."""
        return True

    @property
    def crop(self) -> CropRule:
        """How a crop of one person lies around the box, see ``mtvit_core.crops``."""
        return "udp"

    @property
    def mirrors(self) -> bool:
        """Whether results are made from the image and its mirror image together (flip test)."""
        return False

    def joining(self, backbone: BackboneSpec) -> Joining | None:
        """Return how the task reads a group of queries that it shares with others; None where it cannot.

        A task that can is one that sees whole images, has ``objects`` among its targets and a matching cost.
        In a model of instance groups, ``tokens`` is not asked for. The head finds the shared queries and
        proposals in the features under the task's own name.
        """
        return None

    def query_objects(self, predictions: P) -> QueryObjects | None:
        """Return class and box of each query as the task sees them; None where it has no say.

        Where a task shares its queries, results of all tasks that have one are made of what they agree on,
        see ``mtvit_core.agreement``.
        """
        return None

    def with_query_objects(self, predictions: P, objects: QueryObjects) -> P:
        """Return predictions whose ``query_objects`` are these; only asked for where it returns some."""
        raise NotImplementedError

    @abstractmethod
    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Return the token groups the task adds; none for a head that reads patches only."""

    @abstractmethod
    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return a module ``forward(features: Features) -> predictions``, a frozen dataclass of tensors."""

    @abstractmethod
    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> T:
        """Turn the annotations of a batch into padded tensors.

        Args:
            annotations: One entry per image, in canvas pixels. Crowds are left out here.
            canvas: Rows H and columns W.
            device: Where the tensors go.
        """

    def cost(self, predictions: P, targets: T) -> Float[Tensor, "L B Q M"] | None:
        """Return the cost of giving each target to each query; None where the task needs no matching."""
        return None

    @abstractmethod
    def loss(self, predictions: P, targets: T, match: Match | None) -> dict[str, Tensor]:
        """Return weighted scalar terms by name.

        Every term is a function of the predictions even where nothing is labelled (then it is exactly 0 with
        zero gradient), so that all processes of a distributed run reduce the same parameters. Sums are
        divided by ``mtvit_core.shared_count`` of what they run over, so that a batch that is shared out gives
        the same update as the whole.
        """

    def teach(self, predictions: P) -> Any | None:
        """Return what a student may learn from these predictions; a task that does not teach returns None.

        Args:
            predictions: Of a teacher in evaluation, without gradient.

        Returns:
            A lesson, in a form that all variants of the task understand: not predictions of one variant.
        """
        return None

    def distill(self, predictions: P, lesson: Any) -> dict[str, Tensor]:
        """Return weighted scalar terms by name: how far predictions are from what a teacher says.

        Labels play no part, so images without any teach too. The rules of ``loss`` hold here as well.

        Args:
            predictions: Of the student, in training.
            lesson: What ``teach`` of this task, with the teacher's settings, returned for the same images.

        Raises:
            ConfigError: the student cannot learn it, such as heatmaps of another size.
        """
        return {}

    def perfect(self, predictions: P, targets: T) -> P | None:
        """Return predictions that say what the targets say: what ``decode`` makes of them is the truth.

        No training needs it; the test kit does, to check targets, decoding and evaluation by each other.

        Args:
            predictions: Of the same images, in evaluation; for the form and the sizes.
            targets: What is to be said.

        Returns:
            Predictions of the same form; None where a task does not define it.
        """
        return None

    @abstractmethod
    def decode(self, predictions: P, meta: Sequence[ImageMeta]) -> list[Instances]:
        """Turn predictions into results in original pixels and categories, one per image (or crop)."""

    def average(self, predictions: P, mirrored: P) -> P:
        """Return the mean of predictions and those of the mirrored images; only asked for by ``mirrors``."""
        raise NotImplementedError

    def join(self, parts: Sequence[Instances], meta: Sequence[ImageMeta]) -> Instances:
        """Make one result of those of all crops of one image, at least one; by default all rows in order."""
        return concatenate(parts)

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """Return a fresh evaluator for the task's categories."""

    def progress(self, head: nn.Module, fraction: float) -> None:
        """Tell the head how far training is, from 0 to 1, before each step; for schedules of its own."""
