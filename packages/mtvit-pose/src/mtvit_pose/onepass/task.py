"""The one-pass pose task: people and their keypoints from the whole image."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.heads.proposals import QueryRequest, last_blocks, picked_group
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE, perfect_logits, perfect_rows
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasObjects
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.boxes import cxcywh_to_xyxy
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_core.tasks.task import Task
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.distill import PoseLesson, pose_distillation, pose_lesson
from mtvit_pose.onepass.head import OnePassHead, PosePredictions, take
from mtvit_pose.onepass.loss import match_cost, pose_losses
from mtvit_pose.onepass.targets import NEEDS, PoseTargets, keypoint_names, pose_targets


class OnePassPose(Task[PoseConfig, PosePredictions, PoseTargets]):
    """Queries picked from context, each one person: class, box, keypoints (variant ``onepass``)."""

    name = "pose"
    Config = PoseConfig
    needs = NEEDS

    def query_request(self, backbone: BackboneSpec) -> QueryRequest:
        """Queries of the categories that have keypoints, picked before the last blocks."""
        labels, config = self.categories.keypoint_labels, self.config
        enter, layers = last_blocks(backbone, config.blocks, config.deep_supervision)
        return QueryRequest(config.queries, enter, layers, labels, config.visibility)

    def query_objects(self, predictions: PosePredictions) -> QueryObjects:
        """Class and box at the output."""
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: PosePredictions, objects: QueryObjects) -> PosePredictions:
        """Class and box of the output alone; keypoints and expected OKS stay."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Return the one group of person queries."""
        return [picked_group(self.name, self.query_request(backbone), backbone.width)]

    def head(self, backbone: BackboneSpec) -> OnePassHead:
        """Return the head."""
        sizes = len(self.categories.keypoint_labels), self.categories.max_keypoints
        return OnePassHead(backbone.width, self.config, self.query_request(backbone).layers, *sizes)

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """Classes of the categories with keypoints, and numbers of each keypoint."""
        classes = [self.categories[label].name for label in self.categories.keypoint_labels]
        points = keypoint_names(self.categories)
        offsets = [(point, axis) for point in points for axis in "xy"]
        judged = [*((point, "seen") for point in points), "quality"]
        named: dict[str, Sequence[Hashable]] = {
            f"tokens.{self.name}.score": classes,
            "head.classify": classes,
            "head.offset.layers.2": offsets,
            "head.reader.say.say": [*offsets, *classes, *judged],
            "head.judge": judged,
        }
        if self.config.refine:
            named["head.embed"] = [(point, i) for point in points for i in range(self.config.embedding)]
            named["head.rarity"] = points
        return named

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any
    ) -> PoseTargets:
        """Collect the people of a batch."""
        return pose_targets(annotations, self.categories, canvas, device)

    def cost(self, predictions: PosePredictions, targets: PoseTargets) -> Float[Tensor, "L B Q M"]:
        """Return the matching cost."""
        return match_cost(predictions, targets, self.config)

    def loss(
        self, predictions: PosePredictions, targets: PoseTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Return the weighted terms."""
        assert match is not None
        return pose_losses(predictions, targets, match, self.config)

    def teach(self, predictions: PosePredictions) -> PoseLesson:
        """People with the probability of every class and keypoint."""
        return pose_lesson(predictions)

    def distill(self, predictions: PosePredictions, lesson: PoseLesson) -> dict[str, Tensor]:
        """Terms of class, box, keypoints, and of the proposals."""
        return pose_distillation(predictions, lesson, self.config)

    def perfect(self, predictions: PosePredictions, targets: PoseTargets) -> PosePredictions:
        """Query m says person m; embeddings of zero leave every keypoint at the centre of its window."""
        embeddings, valid = predictions.embeddings, targets.valid
        known = SURE * (2 * targets.known.to(predictions.visibility.dtype) - 1)
        return replace(
            predictions,
            logits=perfect_logits(predictions.logits, targets.classes, valid),
            boxes=perfect_rows(predictions.boxes, targets.boxes, valid),
            points=perfect_rows(predictions.points, targets.points, valid),
            visibility=perfect_rows(predictions.visibility, known, valid),
            quality=torch.full_like(predictions.quality, SURE),
            embeddings=None if embeddings is None else torch.zeros_like(embeddings),
        )

    @torch.no_grad()
    def decode(self, predictions: PosePredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return the ``top_k`` best people of each image, without those whose box repeats a better one's.

        A person's score is the geometric mean of class probability and predicted OKS. Their product, the OKS
        to expect, is what AP ranks by best; its root is on the scale of the scores of other tasks. A
        keypoint's score is the probability that the truth would have labelled it.
        """
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: PosePredictions) -> CanvasObjects:
        """Return the ``top_k`` best people of each canvas."""
        logits = predictions.logits[-1:]
        scores = (logits.sigmoid() * predictions.quality[-1:, ..., None].sigmoid()).sqrt()
        count = min(self.config.top_k, scores.shape[2] * scores.shape[3])
        best, index = scores.flatten(2).topk(count, dim=2)
        rows, classes = index // logits.shape[-1], index % logits.shape[-1]
        last = predictions.last
        boxes, points = last.take(rows)
        windows = last.windows(rows)
        if windows is not None:
            points = windows.points[None]
        visible = take(last.visibility, rows).sigmoid()
        keypoints = torch.cat([points * predictions.scale, visible[..., None]], -1)[0]
        corners = (cxcywh_to_xyxy(boxes) * predictions.scale.repeat(2))[0]
        labels = torch.tensor(self.categories.keypoint_labels, device=classes.device)[classes[0]]
        return CanvasObjects(
            boxes=corners,
            scores=best[0],
            labels=labels,
            queries=rows[0],
            canvas=predictions.canvas,
            nms=self.config.nms,
            keypoints=keypoints,
        )

    def evaluator(self) -> CocoEvaluator:
        """Return COCO's keypoint AP."""
        return CocoEvaluator(self.name, "keypoints", self.categories)
