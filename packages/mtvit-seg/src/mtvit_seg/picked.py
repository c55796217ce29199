"""The default variant: queries picked from patches, masks read in their boxes, classes independent."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.heads.proposals import QueryRequest, last_blocks, picked_group, proposal_loss
from mtvit_core.heads.roi import region_class_loss
from mtvit_core.losses.box_regression import box_losses
from mtvit_core.losses.distillation import (
    expected_focal_cost,
    soft_box_losses,
    soft_class_loss,
    soft_proposal_losses,
)
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.losses.matching_costs import box_cost, focal_cost
from mtvit_core.losses.perfect import perfect_logits, perfect_rows
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_seg.head import PickedHead, SegPredictions
from mtvit_seg.losses.denoising import noised_losses
from mtvit_seg.losses.distill import SegLesson, picked_lesson, soft_mask_losses
from mtvit_seg.losses.loss import mask_losses, matched_number, quality_class_loss
from mtvit_seg.losses.points import Sampling
from mtvit_seg.losses.targets import SegTargets, map_size
from mtvit_seg.variant import SegVariant


class PickedSegmentation(SegVariant):
    """Queries refine the class and the box they were picked for, and add a mask (variant ``picked``)."""

    @property
    def nms(self) -> float:
        """As the settings say."""
        return self.config.nms

    def query_request(self, backbone: BackboneSpec) -> QueryRequest:
        """Queries of every category, by default before the last block."""
        config, labels = self.config, tuple(range(len(self.categories)))
        enter, layers = last_blocks(backbone, config.blocks or 1, config.deep_supervision)
        return QueryRequest(config.queries, enter, layers, labels, config.visibility or "isolated")

    def query_objects(self, predictions: SegPredictions) -> QueryObjects:
        """Class and box at the output."""
        assert predictions.boxes is not None
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: SegPredictions, objects: QueryObjects) -> SegPredictions:
        """Class and box of the output alone; the mask is drawn already."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of queries, picked before the last blocks."""
        return [picked_group(self.name, self.query_request(backbone), backbone.width)]

    def head(self, backbone: BackboneSpec) -> PickedHead:
        """The head that refines proposals and draws masks."""
        config, layers = self.config, self.query_request(backbone).layers
        return PickedHead(backbone, len(self.categories), layers, config.mask_width, config.prior_sharpness)

    def sampling(self, predictions: SegPredictions) -> Sampling | None:
        """Every pixel where the map has no more than ``points``, unless the settings say."""
        rows, columns = map_size(predictions.mask_logits)
        fits = "dense" if rows * columns <= self.config.points else "points"
        return None if (self.config.sampling or fits) == "dense" else self.random_points()

    @torch.no_grad()
    def cost(self, predictions: SegPredictions, targets: SegTargets) -> Float[Tensor, "L B Q M"]:
        """Class, mask, dice and box cost."""
        assert predictions.boxes is not None
        config, masks = self.config, self.mask_cost(predictions, targets)
        boxes = box_cost(predictions.boxes, targets.boxes, config.cost_l1, config.cost_giou)
        return masks + boxes + config.cost_class * focal_cost(predictions.logits, targets.labels)

    def loss(
        self, predictions: SegPredictions, targets: SegTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, mask, dice and box terms, and those of proposals and of what is read inside boxes."""
        assert match is not None
        assert predictions.boxes is not None
        assert predictions.pick is not None
        config, objects = self.config, (targets.labels, targets.boxes, targets.valid)
        terms = self.mask_terms(mask_losses(predictions, targets, match, self.sampling(predictions)))
        quality = quality_class_loss(predictions, targets, match)
        number = matched_number(targets, predictions.boxes.shape[2])
        boxes = box_losses(predictions.boxes, targets.boxes, match, number)
        dense = proposal_loss(predictions.pick, *objects, targets.labelled, targets.annotated)
        if predictions.region is not None:
            region = region_class_loss(predictions.region, predictions.boxes, *objects)
            terms["region"] = config.loss_region * region
        if predictions.reading is not None:
            near = noised_losses(predictions.reading, targets, config)
            terms |= {name: config.loss_denoising * value for name, value in near.items()}
        return {
            "class": config.loss_class * quality,
            **terms,
            "l1": config.loss_l1 * boxes["l1"],
            "giou": config.loss_giou * boxes["giou"],
            **{name: config.loss_proposal * value for name, value in dense.items()},
        }

    def teach(self, predictions: SegPredictions) -> SegLesson:
        """Objects with the probability of every category and every pixel."""
        return picked_lesson(predictions)

    def distill(self, predictions: SegPredictions, lesson: SegLesson) -> dict[str, Tensor]:
        """Class, mask, dice and box terms, and those of the proposals where the teacher has some."""
        assert predictions.boxes is not None
        config, objects, logits = self.config, lesson.objects, predictions.logits
        with torch.no_grad():
            boxes = box_cost(predictions.boxes, objects.boxes, config.cost_l1, config.cost_giou)
            cost = self.soft_mask_cost(predictions, lesson) + boxes
            cost = cost + config.cost_class * expected_focal_cost(logits, objects)
        match = match_all({self.name: (cost, objects.counts)})[self.name]
        found = soft_box_losses(predictions.boxes, objects, match)
        return {
            **self.mask_terms(soft_mask_losses(predictions, lesson, match)),
            "l1": config.loss_l1 * found["l1"],
            "giou": config.loss_giou * found["giou"],
            "class": config.loss_class * soft_class_loss(logits, objects, match),
            **soft_proposal_losses(predictions.pick, objects.pick, config.loss_proposal),
        }

    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: SegTargets
    ) -> Float[Tensor, "L B Q C"]:
        """High for the class, low for all others."""
        return perfect_logits(logits, targets.labels, targets.valid)

    def perfect(self, predictions: SegPredictions, targets: SegTargets) -> SegPredictions:
        """Query m says object m, its box too."""
        assert predictions.boxes is not None
        boxes = perfect_rows(predictions.boxes, targets.boxes, targets.valid)
        return replace(super().perfect(predictions, targets), boxes=boxes)
