"""A task of several variants: one name and one table of settings, an object for each variant behind them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.heads.pixel_decoder import DecoderRequest
from mtvit_core.heads.proposals import QueryRequest
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import OnCanvas
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.task import C, P, T, Task, View


class VariantTask(Task[C, P, T], Generic[C, P, T]):
    """Asks the variant that the settings name; a subclass picks it and sets the class attributes.

    Attributes:
        variant: Who answers.
    """

    variant: Task[C, P, T]

    def __init__(self, config: C, categories: Categories, variant: type[Task[C, P, T]]) -> None:
        """Build the variant.

        Args:
            config: Settings.
            categories: Classes of the data.
            variant: Class of the variant.
        """
        super().__init__(config, categories)
        self.variant = variant(config, categories)

    @property
    def map_classes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the classes in the dense labels that the variant reads."""
        return self.variant.map_classes

    @property
    def view(self) -> View:
        """What the variant is shown."""
        return self.variant.view

    @property
    def finds_boxes(self) -> bool:
        """Whether the variant's results are objects in boxes, for top-down tasks."""
        return self.variant.finds_boxes

    @property
    def finds_objects(self) -> bool:
        """Whether the variant's results have objects."""
        return self.variant.finds_objects

    @property
    def reads_patches(self) -> bool:
        """Whether the variant's head reads more of the output than its queries."""
        return self.variant.reads_patches

    @property
    def crop(self) -> CropRule:
        """How the variant's crops lie around a box."""
        return self.variant.crop

    @property
    def mirrors(self) -> bool:
        """Whether the variant makes results from the mirrored image too."""
        return self.variant.mirrors

    @property
    def teaches(self) -> bool:
        """Whether students can learn from the variant."""
        return self.variant.teaches

    def query_request(self, backbone: BackboneSpec) -> QueryRequest | None:
        """Return what the variant can read of shared queries."""
        return self.variant.query_request(backbone)

    def query_objects(self, predictions: P) -> QueryObjects | None:
        """Return what the variant says of class and box of each query."""
        return self.variant.query_objects(predictions)

    def with_query_objects(self, predictions: P, objects: QueryObjects) -> P:
        """Return predictions that say these."""
        return self.variant.with_query_objects(predictions, objects)

    def pixel_decoder(self, backbone: BackboneSpec) -> DecoderRequest | None:
        """Return the pixel decoder that the variant reads."""
        return self.variant.pixel_decoder(backbone)

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Return the variant's token groups."""
        return self.variant.tokens(backbone)

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return the variant's head."""
        return self.variant.head(backbone)

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """Return what the rows of the variant's weights stand for."""
        return self.variant.named_rows()

    def config_for(self, categories: Categories) -> C:
        """Return the variant's settings for other categories."""
        return self.variant.config_for(categories)

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> T:
        """Return what the variant's cost and loss read."""
        return self.variant.targets(annotations, canvas, device)

    def cost(self, predictions: P, targets: T) -> Float[Tensor, "L B Q M"] | None:
        """Return the variant's matching cost."""
        return self.variant.cost(predictions, targets)

    def loss(self, predictions: P, targets: T, match: Match | None) -> dict[str, Tensor]:
        """Return the variant's loss terms."""
        return self.variant.loss(predictions, targets, match)

    def teach(self, predictions: P) -> Any | None:
        """Return what students of every variant learn from."""
        return self.variant.teach(predictions)

    def distill(self, predictions: P, lesson: Any) -> dict[str, Tensor]:
        """Return the variant's distance from what a teacher says."""
        return self.variant.distill(predictions, lesson)

    def perfect(self, predictions: P, targets: T) -> P | None:
        """Return what the variant's head would say if it knew the targets."""
        return self.variant.perfect(predictions, targets)

    def decode(self, predictions: P, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return the variant's results in original pixels."""
        return self.variant.decode(predictions, meta)

    def on_canvas(self, predictions: P) -> OnCanvas | None:
        """Return what the variant finds on the canvas."""
        return self.variant.on_canvas(predictions)

    def from_canvas(self, found: OnCanvas, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return the variant's results."""
        return self.variant.from_canvas(found, meta)

    def average(self, predictions: P, mirrored: P) -> P:
        """Return the mean of predictions and those of the mirrored images."""
        return self.variant.average(predictions, mirrored)

    def join(self, parts: Sequence[ImageResult], meta: Sequence[ImageMeta]) -> ImageResult:
        """Make one result of those of all crops of one image."""
        return self.variant.join(parts, meta)

    def evaluator(self) -> Evaluator:
        """Return a fresh evaluator."""
        return self.variant.evaluator()

    def progress(self, head: nn.Module, fraction: float) -> None:
        """Tell the variant's head how far training is."""
        self.variant.progress(head, fraction)
