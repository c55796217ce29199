"""Detection: the parts wired to the task contract."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.heads.nms import class_nms
from mtvit_core.heads.proposals import QueryRequest, picked_group, proposal_loss
from mtvit_core.heads.roi import region_class_loss
from mtvit_core.losses.denoising import denoising_losses, noised_boxes
from mtvit_core.losses.distillation import SoftObjects
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import perfect_logits, perfect_rows
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_result import ImageResult
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_det.config import DetConfig
from mtvit_det.cost import box_cost, focal_cost, softmax_cost
from mtvit_det.decode import decode_sigmoid, decode_softmax
from mtvit_det.distill import det_distillation, det_lesson
from mtvit_det.head import DetPredictions, PickedHead, YolosHead
from mtvit_det.loss import box_losses, quality_class_loss, softmax_class_loss
from mtvit_det.targets import DetTargets, make_targets


class Detection(Task[DetConfig, DetPredictions, DetTargets]):
    """Boxes of every category."""

    name: ClassVar[str] = "det"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = DetConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    exportable: ClassVar[bool] = True

    @property
    def finds_boxes(self) -> bool:
        """True: top-down tasks look at the people among the boxes."""
        return True

    def __init__(self, config: DetConfig, categories: Categories) -> None:
        """Keep the settings and the categories.

        Args:
            config: Settings.
            categories: Classes of the data.

        Raises:
            ConfigError: ``id_columns`` has no column for the id of a category.
        """
        super().__init__(config, categories)
        ids = [category.id for category in categories]
        count = config.id_columns if config.variant == "yolos" else None
        for odd in [id_ for id_ in ids if count is not None and not 0 <= id_ < count][:1]:
            raise ConfigError(
                f"config: tasks.det.id_columns is {count}, but category {odd} needs its id as "
                "column; leave the setting out for a column per category."
            )
        self.columns = torch.tensor(range(len(ids)) if count is None else ids, dtype=torch.int64)

    @property
    def reads_patches(self) -> bool:
        """YOLOS reads the DET tokens alone."""
        return self.config.variant != "yolos"

    def query_request(self, backbone: BackboneSpec) -> QueryRequest | None:
        """Picked queries of every category; YOLOS has DET tokens of its own."""
        config = self.config
        if config.variant == "yolos":
            return None
        enter, labels = max(0, backbone.depth - config.blocks), tuple(range(len(self.categories)))
        visibility = config.visibility or "isolated"
        return QueryRequest(config.queries, enter, self._layers(backbone), labels, visibility)

    def query_objects(self, predictions: DetPredictions) -> QueryObjects:
        """Class and box at the output."""
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: DetPredictions, objects: QueryObjects) -> DetPredictions:
        """Class and box of the output alone."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group: DET tokens from block 0 (yolos), or queries picked before the last blocks."""
        picked = self.query_request(backbone)
        if picked is not None:
            return [picked_group(self.name, picked, backbone.width)]
        count, layers = self.config.queries, self._layers(backbone)
        tables = backbone.depth - 1 if self.config.token_positions else 0
        learned = LearnedQueries(count, backbone.width, tables=tables)
        visibility = self.config.visibility or "joint"
        return [TokenGroup(self.name, count, 0, learned, visibility, layers)]

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """The head of the variant."""
        if self.config.variant == "yolos":
            return YolosHead(backbone.width, self.config.id_columns or len(self.categories))
        return PickedHead(backbone.width, len(self.categories), self._layers(backbone))

    def _layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """Depths that are supervised: YOLOS supervises the output only."""
        depth = backbone.depth
        if self.config.variant == "yolos" or not self.config.deep_supervision:
            return (depth,)
        return tuple(range(max(0, depth - self.config.blocks) + 1, depth + 1))

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> DetTargets:
        """Boxes and labels, padded."""
        count = self.config.id_columns if self.config.variant == "yolos" else None
        return make_targets(annotations, canvas, device, self.columns, count or len(self.categories))

    def cost(self, predictions: DetPredictions, targets: DetTargets) -> Float[Tensor, "L B Q M"]:
        """Class cost plus box cost."""
        kind = softmax_cost if self.config.variant == "yolos" else focal_cost
        classes = self.config.class_weight * kind(predictions.logits, targets.labels)
        return classes + box_cost(
            predictions.boxes, targets.boxes, self.config.cost_l1, self.config.cost_giou
        )

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms, and those of the proposals."""
        assert match is not None
        config, boxes = self.config, box_losses(predictions, targets, match)
        terms = {"l1": config.loss_l1 * boxes["l1"], "giou": config.loss_giou * boxes["giou"]}
        if predictions.pick is None:
            entropy = softmax_class_loss(predictions.logits, targets, match, config.no_object)
            return {"class": config.loss_class * entropy, **terms}
        terms = {"class": config.loss_class * quality_class_loss(predictions, targets, match), **terms}
        dense = proposal_loss(
            predictions.pick,
            targets.labels,
            targets.boxes,
            targets.valid,
            targets.labelled,
            targets.annotated,
        )
        if predictions.region is not None:
            terms["region"] = config.loss_region * region_class_loss(
                predictions.region, predictions.boxes, targets.labels, targets.boxes, targets.valid
            )
        terms |= {name: config.loss_proposal * value for name, value in dense.items()}
        if predictions.reading is not None:
            near = predictions.reading.of(noised_boxes(targets.boxes))
            noised = denoising_losses(*near, targets.labels, targets.boxes, targets.valid)
            terms |= {name: config.loss_denoising * value for name, value in noised.items()}
        return terms

    def teach(self, predictions: DetPredictions) -> SoftObjects:
        """Objects with the probability of every category."""
        return det_lesson(predictions, self.columns if self.config.variant == "yolos" else None)

    def distill(self, predictions: DetPredictions, lesson: SoftObjects) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms, and those of the proposals where teacher and student have some."""
        return det_distillation(predictions, lesson, self.config, self.columns)

    def perfect(self, predictions: DetPredictions, targets: DetTargets) -> DetPredictions:
        """Query m says object m."""
        no_object = predictions.logits.shape[-1] - 1 if self.config.variant == "yolos" else None
        return replace(
            predictions,
            logits=perfect_logits(predictions.logits, targets.labels, targets.valid, no_object),
            boxes=perfect_rows(predictions.boxes, targets.boxes, targets.valid),
        )

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Boxes in original pixels, best first."""
        if self.config.variant == "yolos":
            found = decode_softmax(predictions, meta, self.categories, self.columns)
        else:
            found = decode_sigmoid(predictions, meta, self.categories, self.config.top_k)
            found = [class_nms(boxes, self.config.nms) for boxes in found]
        return [ImageResult(boxes) for boxes in found]

    def evaluator(self) -> CocoEvaluator:
        """COCO box AP."""
        return CocoEvaluator("det", "bbox", self.categories)
