"""The default variant: queries picked from patches, boxes as offsets from theirs, classes independent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.heads.proposals import QueryRequest, last_blocks, picked_group, proposal_loss
from mtvit_core.heads.roi import region_class_loss
from mtvit_core.losses.denoising import denoising_losses, noised_boxes
from mtvit_core.losses.distillation import (
    SoftObjects,
    expected_focal_cost,
    soft_class_loss,
    soft_proposal_losses,
)
from mtvit_core.losses.matching import Match
from mtvit_core.losses.matching_costs import focal_cost
from mtvit_core.losses.perfect import perfect_logits
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasObjects
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_det.config import DetConfig
from mtvit_det.decode import sigmoid_objects
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.loss import quality_class_loss
from mtvit_det.targets import DetTargets
from mtvit_det.variant import DetVariant


class PickedDetection(DetVariant):
    """Queries refine the class and the box that they were picked for (variant ``picked``)."""

    usual_cost_class: ClassVar[float] = 2.0  # Deformable DETR's

    def __init__(self, config: DetConfig, categories: Categories) -> None:
        """Give every category a column, in order.

        Args:
            config: Settings.
            categories: Classes of the data.
        """
        super().__init__(config, categories)
        self.count = len(categories)
        self.columns = torch.arange(self.count)

    def layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """The blocks that the queries pass, or the last one."""
        return last_blocks(backbone, self.config.blocks, self.config.deep_supervision)[1]

    def query_request(self, backbone: BackboneSpec) -> QueryRequest:
        """Queries of every category."""
        config, labels = self.config, tuple(range(self.count))
        enter, layers = last_blocks(backbone, config.blocks, config.deep_supervision)
        return QueryRequest(config.queries, enter, layers, labels, config.visibility or "isolated")

    def query_objects(self, predictions: DetPredictions) -> QueryObjects:
        """Class and box at the output."""
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: DetPredictions, objects: QueryObjects) -> DetPredictions:
        """Class and box of the output alone."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of queries, picked before the last blocks."""
        return [picked_group(self.name, self.query_request(backbone), backbone.width)]

    def head(self, backbone: BackboneSpec) -> PickedHead:
        """The head that refines proposals."""
        return PickedHead(backbone.width, self.count, self.layers(backbone))

    def probabilities(self, logits: Float[Tensor, "*any C"]) -> Float[Tensor, "*any C"]:
        """Sigmoid of each class."""
        return logits.sigmoid()

    def class_cost(
        self, logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "L B Q M"]:
        """Focal cost."""
        return focal_cost(logits, labels)

    def class_loss(self, predictions: DetPredictions, targets: DetTargets, match: Match) -> Float[Tensor, ""]:
        """Quality focal loss towards the IoU of the matched box."""
        return quality_class_loss(predictions, targets, match)

    def soft_class_cost(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects
    ) -> Float[Tensor, "L B Q M"]:
        """Focal cost, expected under the teacher's probabilities."""
        return expected_focal_cost(logits, lesson)

    def soft_class_loss(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects, match: Match
    ) -> Float[Tensor, ""]:
        """Quality focal loss towards the teacher's probabilities."""
        return soft_class_loss(logits, lesson, match)

    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: DetTargets
    ) -> Float[Tensor, "L B Q C"]:
        """High for the class, low for all others."""
        return perfect_logits(logits, targets.labels, targets.valid)

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms, and those of proposals and of what is read inside boxes."""
        config, terms = self.config, super().loss(predictions, targets, match)
        objects = (targets.labels, targets.boxes, targets.valid)
        assert predictions.pick is not None
        dense = proposal_loss(predictions.pick, *objects, targets.labelled, targets.annotated)
        if predictions.region is not None:
            region = region_class_loss(predictions.region, predictions.boxes, *objects)
            terms["region"] = config.loss_region * region
        terms |= {name: config.loss_proposal * value for name, value in dense.items()}
        if predictions.reading is not None:
            near = predictions.reading.of(noised_boxes(targets.boxes))
            noised = denoising_losses(*near, *objects)
            terms |= {name: config.loss_denoising * value for name, value in noised.items()}
        return terms

    def distill(self, predictions: DetPredictions, lesson: SoftObjects) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms, and those of the proposals where the teacher has some."""
        dense = soft_proposal_losses(predictions.pick, lesson.pick, self.config.loss_proposal)
        return super().distill(predictions, lesson) | dense

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Boxes in original pixels, best first, without those that repeat a better one."""
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: DetPredictions) -> CanvasObjects:
        """The best boxes."""
        return sigmoid_objects(predictions, self.config.top_k, self.config.nms)
