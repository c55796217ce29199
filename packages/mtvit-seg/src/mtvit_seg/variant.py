"""What the variants of segmentation share: masks, their costs and losses."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.evaluation.evaluator import Evaluator, JointEvaluator
from mtvit_core.evaluation.maps.panoptic import PanopticEvaluator
from mtvit_core.evaluation.maps.semantic import SemanticEvaluator
from mtvit_core.heads.nms import class_nms
from mtvit_core.losses.global_batch import image_generators
from mtvit_core.losses.perfect import SURE, perfect_rows
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasObjects, OnCanvas
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.pixel_maps import CategoryMap
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_seg.config import SegConfig
from mtvit_seg.decoding.instances import decode_instances, instances_from_canvas, mask_objects
from mtvit_seg.decoding.panoptic import PanopticRule, decode_panoptic
from mtvit_seg.decoding.semantic import decode_semantic
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.cost import dense_values, pair_dice, pair_entropy, point_values
from mtvit_seg.losses.distill import SegLesson, soft_values
from mtvit_seg.losses.points import Sampling
from mtvit_seg.losses.targets import SegTargets, make_targets, map_size


class SegVariant(Task[SegConfig, SegPredictions, SegTargets]):
    """Masks of every category; each variant has classes, and boxes or none, of its own."""

    name: ClassVar[str] = "seg"
    Config: ClassVar[type[TaskConfig]] = SegConfig
    needs: ClassVar[frozenset[str]] = frozenset({"masks"})

    @property
    def finds_objects(self) -> bool:
        """Whether instances are asked for."""
        return "instances" in self.config.results

    @abstractmethod
    def sampling(self, predictions: SegPredictions) -> Sampling | None:
        """Return how mask points are drawn; None for every pixel of the map."""

    @abstractmethod
    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: SegTargets
    ) -> Float[Tensor, "L B Q C"]:
        """Return logits by which query m is of the class of object m."""

    def random_points(self) -> Sampling:
        """Return random points, as many as the settings say."""
        return Sampling(self.config.points, self.config.oversample, self.config.importance)

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> SegTargets:
        """Masks, their boxes and labels."""
        return make_targets(annotations, canvas, device, len(self.categories))

    def mask_cost(self, predictions: SegPredictions, targets: SegTargets) -> Float[Tensor, "L B Q M"]:
        """Mask and dice cost."""
        masks = predictions.mask_logits
        if self.sampling(predictions) is None:
            return self._mask_cost(*dense_values(masks, targets))
        sources = image_generators(masks.shape[1], masks.device)
        points = [torch.rand(self.config.points, 2, generator=g, device=masks.device) for g in sources]
        return self._mask_cost(*point_values(masks, targets, torch.stack(points)))

    def soft_mask_cost(self, predictions: SegPredictions, lesson: SegLesson) -> Float[Tensor, "L B Q M"]:
        """Mask and dice cost of what a teacher says, at no more pixels than ``points``."""
        return self._mask_cost(*soft_values(predictions.mask_logits, lesson, self.config.points))

    def _mask_cost(
        self, logits: Float[Tensor, "L B Q P"], truth: Float[Tensor, "B M P"]
    ) -> Float[Tensor, "L B Q M"]:
        cost = self.config.cost_mask * pair_entropy(logits, truth)
        return cost + self.config.cost_dice * pair_dice(logits, truth)

    def mask_terms(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weigh the losses of masks."""
        config = self.config
        return {"mask": config.loss_mask * losses["mask"], "dice": config.loss_dice * losses["dice"]}

    def perfect(self, predictions: SegPredictions, targets: SegTargets) -> SegPredictions:
        """Query m says object m; where a mask covers half a pixel of the map, the logit is 0."""
        valid, logits = targets.valid, predictions.mask_logits
        size = map_size(logits)
        coverage = targets.padded(targets.on_map(size).flatten(1)).view(*valid.shape, *size)
        return replace(
            predictions,
            logits=self.perfect_logits(predictions.logits, targets),
            mask_logits=perfect_rows(torch.full_like(logits, -SURE), SURE * (2 * coverage - 1), valid),
        )

    def instances(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[Instances]:
        """Objects in original pixels, best first, without those that repeat a better one."""
        config = self.config
        found = decode_instances(predictions, meta, self.categories, config.top_k, config.mask_threshold)
        return [class_nms(one, self.nms) for one in found]

    def panoptic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[CategoryMap]:
        """One segment for every pixel of the original images; ``stuff`` of the config is merged by class."""
        rule = PanopticRule(self.stuff, self.config.panoptic_score, self.config.panoptic_overlap)
        return decode_panoptic(predictions, meta, self.categories, rule)

    def semantic(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[CategoryMap]:
        """One class for every pixel of the original images."""
        return [
            CategoryMap.semantic(labels, self.categories) for labels in decode_semantic(predictions, meta)
        ]

    @property
    def stuff(self) -> frozenset[int]:
        """Labels of the stuff classes."""
        return frozenset(self.categories.label_of_id[id_] for id_ in self.config.stuff)

    def decode(self, predictions: SegPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """What the settings ask for, in original pixels; maps ``seg-panoptic`` and ``seg-semantic``."""
        asked: dict[str, Callable[..., list[CategoryMap]]]
        asked = {"panoptic": self.panoptic, "semantic": self.semantic}
        maps = {
            f"{self.name}-{kind}": make(predictions, meta)
            for kind, make in asked.items()
            if kind in self.config.results
        }
        found = self.instances(predictions, meta) if self.finds_objects else None
        return [
            ImageResult(
                ImageResult.empty(at, self.categories).instances if found is None else found[i],
                {name: each[i] for name, each in maps.items()},
            )
            for i, at in enumerate(meta)
        ]

    @property
    def nms(self) -> float:
        """Largest IoU of the boxes of two results of one class; 1 keeps all."""
        return 1.0

    def on_canvas(self, predictions: SegPredictions) -> CanvasObjects | None:
        """The best instances; None where maps are asked for, which are drawn at original size."""
        if self.config.results != ("instances",):
            return None
        return mask_objects(predictions, self.config.top_k, self.config.mask_threshold, self.nms)

    def from_canvas(self, found: OnCanvas, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Instances in original pixels."""
        assert isinstance(found, CanvasObjects)
        objects = instances_from_canvas(found, meta, self.categories)
        return [ImageResult(class_nms(one, found.nms)) for one in objects]

    def evaluator(self) -> Evaluator:
        """COCO mask AP, panoptic quality and mean IoU, as far as such results are asked for."""
        results, categories = self.config.results, self.categories
        parts: list[Evaluator] = []
        if self.finds_objects:
            parts.append(CocoEvaluator(self.name, "segm", categories, results=self.config.top_k))
        if "panoptic" in results:
            parts.append(PanopticEvaluator(f"{self.name}-panoptic", categories, self.stuff))
        if "semantic" in results:
            parts.append(SemanticEvaluator(f"{self.name}-semantic", categories, self.stuff))
        return parts[0] if len(parts) == 1 else JointEvaluator(parts)
