"""Segmentation: the parts wired to the task contract."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.heads.nms import class_nms
from mtvit_core.heads.proposals import QueryRequest, picked_group, proposal_loss
from mtvit_core.heads.roi import region_class_loss
from mtvit_core.losses.global_batch import image_generators
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE, perfect_logits, perfect_rows
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_result import ImageResult
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_seg.config import SegConfig
from mtvit_seg.decoding.instances import decode_instances
from mtvit_seg.decoding.panoptic import PanopticResult, PanopticRule, decode_panoptic
from mtvit_seg.decoding.semantic import decode_semantic
from mtvit_seg.head import MaskHead, PickedHead, SegPredictions
from mtvit_seg.losses.cost import (
    box_cost,
    dense_values,
    focal_cost,
    pair_dice,
    pair_entropy,
    point_values,
    softmax_cost,
)
from mtvit_seg.losses.denoising import noised_losses
from mtvit_seg.losses.distill import SegLesson, seg_distillation, seg_lesson
from mtvit_seg.losses.loss import box_losses, mask_losses, quality_class_loss, softmax_class_loss
from mtvit_seg.losses.points import Sampling
from mtvit_seg.losses.targets import SegTargets, make_targets, map_size


class Segmentation(Task[SegConfig, SegPredictions, SegTargets]):
    """Masks of every category."""

    name: ClassVar[str] = "seg"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = SegConfig
    needs: ClassVar[frozenset[str]] = frozenset({"masks"})
    exportable: ClassVar[bool] = True

    def __init__(self, config: SegConfig, categories: Categories) -> None:
        """Keep the settings and the categories.

        Args:
            config: Settings.
            categories: Classes of the data.

        Raises:
            ConfigError: ``stuff`` names an id that is no category.
        """
        super().__init__(config, categories)
        unknown = sorted(set(config.stuff) - set(categories.label_of_id))
        if unknown:
            known = ", ".join(str(category.id) for category in categories)
            raise ConfigError(
                f"config: tasks.seg.stuff holds {unknown[0]}, which is no category id; the ids are {known}."
            )

    def query_request(self, backbone: BackboneSpec) -> QueryRequest | None:
        """Picked queries of every category; EoMT learns queries of its own."""
        config = self.config
        if config.variant == "eomt":
            return None
        return QueryRequest(
            count=config.queries,
            enter=self._enter(backbone),
            layers=self._layers(backbone),
            labels=tuple(range(len(self.categories))),
            visibility=config.visibility or "isolated",
        )

    def query_objects(self, predictions: SegPredictions) -> QueryObjects | None:
        """Class and box at the output; the queries of EoMT have no box."""
        if predictions.boxes is None:
            return None
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: SegPredictions, objects: QueryObjects) -> SegPredictions:
        """Class and box of the output alone; the mask is drawn already."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group: learned queries (eomt), or queries picked before the last blocks."""
        picked, config = self.query_request(backbone), self.config
        if picked is not None:
            return [picked_group(self.name, picked, backbone.width)]
        return [
            TokenGroup(
                name=self.name,
                count=config.queries,
                enter=self._enter(backbone),
                source=LearnedQueries(config.queries, backbone.width, std=1.0),
                visibility=config.visibility or "joint",
                layers=self._layers(backbone),
                masked=config.masked_attention,
            )
        ]

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """The head of the variant."""
        classes, layers = len(self.categories), self._layers(backbone)
        if self.config.variant == "eomt":
            return MaskHead(backbone, classes, self._enter(backbone), layers)
        return PickedHead(backbone, classes, layers, self.config.mask_width, self.config.prior_sharpness)

    def _enter(self, backbone: BackboneSpec) -> int:
        blocks = self.config.blocks or (1 if self.config.variant == "picked" else 3)
        return max(0, backbone.depth - blocks)

    def _layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """Depths that are supervised: EoMT's first prediction is that of the queries at entry."""
        if not self.config.deep_supervision:
            return (backbone.depth,)
        first = self._enter(backbone) + (self.config.variant == "picked")
        return tuple(range(first, backbone.depth + 1))

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> SegTargets:
        """Masks, their boxes and labels."""
        return make_targets(annotations, canvas, device, len(self.categories))

    @torch.no_grad()
    def cost(self, predictions: SegPredictions, targets: SegTargets) -> Float[Tensor, "L B Q M"]:
        """Class, mask and dice cost, and for picked queries the box cost."""
        config, masks = self.config, predictions.mask_logits
        if self._sampling(predictions) is None:
            logits, truth = dense_values(masks, targets)
        else:
            sources = image_generators(masks.shape[1], masks.device)
            points = torch.stack(
                [torch.rand(config.points, 2, generator=g, device=masks.device) for g in sources]
            )
            logits, truth = point_values(masks, targets, points)
        cost = config.mask_weight * pair_entropy(logits, truth)
        cost = cost + config.dice_weight * pair_dice(logits, truth)
        if predictions.boxes is None:
            return cost + config.class_weight * softmax_cost(predictions.logits, targets.labels)
        boxes = box_cost(predictions.boxes, targets.boxes, config.l1_weight, config.giou_weight)
        return cost + boxes + config.class_weight * focal_cost(predictions.logits, targets.labels)

    def loss(
        self, predictions: SegPredictions, targets: SegTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, mask and dice terms; for picked queries also boxes and proposals."""
        assert match is not None
        config = self.config
        masks = mask_losses(predictions, targets, match, self._sampling(predictions))
        terms = {"mask": config.mask_weight * masks["mask"], "dice": config.dice_weight * masks["dice"]}
        if predictions.boxes is None or predictions.pick is None:
            entropy = softmax_class_loss(predictions.logits, targets, match, config.no_object)
            return {"class": config.class_weight * entropy, **terms}
        quality = quality_class_loss(predictions, targets, match)
        boxes = box_losses(predictions.boxes, targets, match)
        objects = (targets.labels, targets.boxes, targets.valid, targets.labelled)
        dense = proposal_loss(predictions.pick, *objects, targets.annotated)
        if predictions.region is not None:
            region = region_class_loss(predictions.region, predictions.boxes, *objects[:3])
            terms["region"] = config.region_weight * region
        if predictions.reading is not None:
            near = noised_losses(predictions.reading, targets, config)
            terms |= {name: config.denoising_weight * value for name, value in near.items()}
        return {
            "class": config.class_weight * quality,
            **terms,
            "l1": config.l1_weight * boxes["l1"],
            "giou": config.giou_weight * boxes["giou"],
            **{name: config.proposal_weight * value for name, value in dense.items()},
        }

    def _sampling(self, predictions: SegPredictions) -> Sampling | None:
        """How mask points are drawn; None for every pixel of the map."""
        config = self.config
        kind = config.sampling
        if kind is None:
            rows, columns = predictions.mask_logits.shape[-2:]
            fits = predictions.pick is not None and rows * columns <= config.points
            kind = "dense" if fits else "points"
        return None if kind == "dense" else Sampling(config.points, config.oversample, config.importance)

    def teach(self, predictions: SegPredictions) -> SegLesson:
        """Objects with the probability of every category and every pixel."""
        return seg_lesson(predictions)

    def distill(self, predictions: SegPredictions, lesson: SegLesson) -> dict[str, Tensor]:
        """Class, mask and dice terms; for picked queries also boxes and proposals."""
        return seg_distillation(predictions, lesson, self.config, torch.arange(len(self.categories)))

    def perfect(self, predictions: SegPredictions, targets: SegTargets) -> SegPredictions:
        """Query m says object m; where a mask covers half a pixel of the map, the logit is 0."""
        labels, valid, logits = targets.labels, targets.valid, predictions.mask_logits
        size = map_size(logits)
        coverage = targets.padded(targets.on_map(size).flatten(1)).view(*valid.shape, *size)
        boxes = predictions.boxes
        no_object = len(self.categories) if predictions.pick is None else None
        return replace(
            predictions,
            logits=perfect_logits(predictions.logits, labels, valid, no_object),
            mask_logits=perfect_rows(torch.full_like(logits, -SURE), SURE * (2 * coverage - 1), valid),
            boxes=None if boxes is None else perfect_rows(boxes, targets.boxes, valid),
        )

    def decode(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Instances in original pixels, best first."""
        config = self.config
        found = decode_instances(predictions, meta, self.categories, config.top_k, config.mask_threshold)
        if config.variant != "eomt":
            found = [class_nms(objects, config.nms) for objects in found]
        return [ImageResult(objects) for objects in found]

    def panoptic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[PanopticResult]:
        """One segment for every pixel of the original images; ``stuff`` of the config is merged by class."""
        config, label_of_id = self.config, self.categories.label_of_id
        stuff = frozenset(label_of_id[id_] for id_ in config.stuff)
        rule = PanopticRule(stuff, config.panoptic_score, config.panoptic_overlap)
        return decode_panoptic(predictions, meta, self.categories, rule)

    def semantic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[Int64[Tensor, "H W"]]:
        """One class for every pixel of the original images, as an index into the categories."""
        return decode_semantic(predictions, meta)

    def evaluator(self) -> CocoEvaluator:
        """COCO mask AP."""
        return CocoEvaluator(self.name, "segm", self.categories)

    def progress(self, head: nn.Module, fraction: float) -> None:
        """Fade the masked attention out."""
        if isinstance(head, MaskHead) and self.config.anneal:
            head.anneal(fraction)
