"""The task contract: everything a plugin provides, from tokens to evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, get_args, runtime_checkable

from jaxtyping import Bool, Float, Int64
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.heads.pixel_decoder import DecoderRequest
from mtvit_core.heads.proposals import QueryRequest
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult, merged
from mtvit_core.results.on_canvas import OnCanvas
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.from_canvas import results_from_canvas

#: Version of this contract; a plugin built for another one is refused.
API = 1
#: What a task may be shown: the whole image, or one crop per person (top-down pose).
View = Literal["image", "person"]
VIEWS: tuple[View, ...] = get_args(View)


class TaskConfig(BaseModel):
    """Base of every task's settings: unknown keys are errors, values do not change after loading.

    Defaults are held to the same limits as given values. The validator is built when it is first used, so
    that listing tasks costs little.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)


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
        linkable: Whether its objects are linked with those of other tasks.
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

    @classmethod
    def settings_for(
        cls, settings: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Any]:
        """Return the settings of the task on a data set: by default those that were given.

        Args:
            settings: As given.
            classes: Names of the classes of dense labels, in the order of their numbers, by label.
        """
        return settings

    @property
    def map_classes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the classes in the dense labels that the task reads, by label; data are fitted to them."""
        return {}

    @property
    def view(self) -> View:
        """What the task is shown; ``image`` unless a task says otherwise."""
        return "image"

    @property
    def finds_boxes(self) -> bool:
        """Whether its results are objects in boxes, so that top-down tasks look at the people among them."""
        return False

    @property
    def finds_objects(self) -> bool:
        """Whether its results have objects, by its settings; else linking and consistency leave it out."""
        return True

    @property
    def reads_patches(self) -> bool:
        """Whether its head reads patch or prefix tokens of the output, not its queries alone."""
        return True

    @property
    def crop(self) -> CropRule:
        """How a crop of one person lies around the box, see ``mtvit_core.structures.canvases.crops``."""
        return "udp"

    @property
    def mirrors(self) -> bool:
        """Whether results are made from the image and its mirror image together (flip test)."""
        return False

    @property
    def teaches(self) -> bool:
        """Whether students can learn from it: whether it defines ``teach``."""
        return type(self).teach is not Task.teach

    def query_request(self, backbone: BackboneSpec) -> QueryRequest | None:
        """Return how the task reads a group of queries that it shares with others; None where it cannot.

        A task that can is one that sees whole images, has ``objects`` among its targets and a matching cost.
        In a model of instance groups, ``tokens`` is not asked for. The head finds the shared queries and
        proposals in the features under the task's own name.
        """
        return None

    def query_objects(self, predictions: P) -> QueryObjects | None:
        """Return class and box of each query as the task sees them; None where it has no say.

        Where a task shares its queries, results of all tasks that have one are made of what they agree on,
        see ``mtvit_core.tasks.consensus``.
        """
        return None

    def with_query_objects(self, predictions: P, objects: QueryObjects) -> P:
        """Return predictions whose ``query_objects`` are these; only asked for where it returns some."""
        raise NotImplementedError

    def pixel_decoder(self, backbone: BackboneSpec) -> DecoderRequest | None:
        """Return the pixel decoder that the head reads in ``Features.decoded``; None where it reads none.

        It sees whole images. Tasks whose requests are equal share one decoder and its weights.
        """
        return None

    @abstractmethod
    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Return the token groups the task adds; none for a head that reads patches only."""

    @abstractmethod
    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return a module ``forward(features: Features) -> predictions``, a frozen dataclass of tensors."""

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """Return what the rows of weights stand for, where that is not a category each.

        A model that goes on with other categories keeps rows of names that it knew, and draws the others, see
        ``mtvit_core.with_categories``. Weights with one row more for each category need no entry, if their
        first rows are the categories in order.

        Returns:
            By module below ``head`` or ``tokens.<group>``, such as ``head.classify``, a name for each row of
            its weights; the name of its category or of its keypoint, None for a row that is always drawn,
            anything else for one that stands for no category.
        """
        return {}

    def config_for(self, categories: Categories) -> C:
        """Return the settings with which the task goes on for other categories; its own by default."""
        return self.config

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
    def decode(self, predictions: P, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Turn predictions into results in original pixels and categories, one per image (or crop)."""

    def on_canvas(self, predictions: P) -> OnCanvas | None:
        """Return what ``decode`` finds, on the canvas, in tensor operations alone; None where it cannot.

        An exported model then tells objects, labels or maps in a form that any program can read. Where it
        returns None, the model tells the predictions as they are, and only ``decode`` can read them.
        """
        return None

    def from_canvas(self, found: OnCanvas, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Turn what ``on_canvas`` returned into what ``decode`` makes of the same predictions.

        A task whose objects have masks defines it.
        """
        return results_from_canvas(self.name, self.categories, found, meta)

    def average(self, predictions: P, mirrored: P) -> P:
        """Return the mean of predictions and those of the mirrored images; only asked for by ``mirrors``."""
        raise NotImplementedError

    def join(self, parts: Sequence[ImageResult], meta: Sequence[ImageMeta]) -> ImageResult:
        """Make one result of those of all crops of one image, at least one; by default all rows in order."""
        return merged(parts)

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """Return a fresh evaluator for the task's categories."""

    def progress(self, head: nn.Module, fraction: float) -> None:
        """Tell the head how far training is, from 0 to 1, before each step; for schedules of its own."""


#: A task of any settings, predictions and targets.
AnyTask: TypeAlias = Task[Any, Any, Any]
