"""Spots: the shortest task with queries, wired to the task contract."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mtvit_core import (
    Annotations,
    BackboneSpec,
    CanvasObjects,
    CocoEvaluator,
    ImageMeta,
    ImageResult,
    Instances,
    LearnedQueries,
    Match,
    QueryObjects,
    QueryRequest,
    Task,
    TaskConfig,
    TokenGroup,
    annotated_classes,
    cxcywh_to_xyxy,
    perfect_logits,
    perfect_rows,
    shared_count,
    sigmoid_focal,
    xyxy_to_cxcywh,
)
from mtvit_spots.head import SpotsHead, SpotsPredictions


class SpotsConfig(TaskConfig):
    """``[tasks.spots]``: most objects it can find, last blocks its queries pass through, weight of boxes."""

    queries: int = Field(20, ge=1)
    blocks: int = Field(4, ge=1)
    box_weight: float = Field(5.0, ge=0)


@dataclass(frozen=True)
class SpotsTargets:
    """Objects of each image, padded; boxes are cx cy w h of the canvas, objects rows of annotations."""

    boxes: Float[Tensor, "B M 4"]
    labels: Int64[Tensor, "B M"]
    valid: Bool[Tensor, "B M"]
    labelled: Bool[Tensor, " B"]
    annotated: Bool[Tensor, "B C"]
    counts: tuple[int, ...]
    objects: Int64[Tensor, "B M"]


class Spots(Task[SpotsConfig, SpotsPredictions, SpotsTargets]):
    """Finds boxes."""

    name: ClassVar[str] = "spots"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = SpotsConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    exportable: ClassVar[bool] = True

    def query_request(self, backbone: BackboneSpec) -> QueryRequest:
        """Any queries will do, also those of other tasks."""
        enter, labels = max(0, backbone.depth - self.config.blocks), tuple(range(len(self.categories)))
        return QueryRequest(self.config.queries, enter, (backbone.depth,), labels)

    def query_objects(self, predictions: SpotsPredictions) -> QueryObjects:
        """Class and box at the output."""
        return QueryObjects(predictions.logits[-1], predictions.boxes[-1])

    def with_query_objects(self, predictions: SpotsPredictions, objects: QueryObjects) -> SpotsPredictions:
        """Class and box of the output alone."""
        return replace(predictions, logits=objects.logits[None], boxes=objects.boxes[None])

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of learned queries that joins before the last blocks."""
        count, enter = self.config.queries, max(0, backbone.depth - self.config.blocks)
        return [TokenGroup(self.name, count, enter, LearnedQueries(count, backbone.width, std=1.0))]

    def head(self, backbone: BackboneSpec) -> SpotsHead:
        """The linear layers."""
        return SpotsHead(backbone.width, len(self.categories))

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> SpotsTargets:
        """Pad the objects; crowds and images without box labels give none."""
        size = torch.tensor([canvas[1], canvas[0]] * 2)
        keep = [~a.is_crowd & ("boxes" in a.has) for a in annotations]
        boxes = [xyxy_to_cxcywh(a.boxes[k] / size) for a, k in zip(annotations, keep, strict=True)]
        labels = [a.labels[k] for a, k in zip(annotations, keep, strict=True)]
        return SpotsTargets(
            pad_sequence(boxes, batch_first=True).to(device),
            pad_sequence(labels, batch_first=True).to(device),
            pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in labels], batch_first=True).to(
                device
            ),
            torch.tensor(["boxes" in a.has for a in annotations]).to(device),
            annotated_classes(annotations, len(self.categories)).to(device),
            tuple(len(row) for row in labels),
            pad_sequence([k.nonzero()[:, 0] for k in keep], batch_first=True),
        )

    def cost(self, predictions: SpotsPredictions, targets: SpotsTargets) -> Float[Tensor, "1 B Q M"]:
        """An unlikely class and a distant box cost."""
        count = predictions.logits.shape[2]
        labels = targets.labels[None, :, None].expand(-1, -1, count, -1)
        distance = (predictions.boxes[..., None, :] - targets.boxes[None, :, None]).abs().sum(-1)
        return self.config.box_weight * distance - predictions.logits.sigmoid().gather(3, labels)

    def loss(
        self, predictions: SpotsPredictions, targets: SpotsTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Focal loss of the classes, and L1 of matched boxes, both per object."""
        assert match is not None
        objects = shared_count(targets.valid.sum())
        found = match.scatter(targets.labels, predictions.logits.shape[2], -1)[..., None]
        classes = torch.arange(predictions.logits.shape[-1], device=found.device)
        focal = sigmoid_focal(predictions.logits, (found == classes).to(predictions.logits.dtype))
        known = targets.labelled[:, None] & targets.annotated
        distance = (match.gather(predictions.boxes) - targets.boxes).abs().sum(-1) * match.matched
        return {
            "class": (focal * known[None, :, None]).sum() / objects,
            "box": self.config.box_weight * distance.sum() / objects + 0 * predictions.boxes.sum(),
        }

    def perfect(self, predictions: SpotsPredictions, targets: SpotsTargets) -> SpotsPredictions:
        """Query m says object m; only tests ask for it."""
        logits = perfect_logits(predictions.logits, targets.labels, targets.valid)
        boxes = perfect_rows(predictions.boxes, targets.boxes, targets.valid)
        return SpotsPredictions(logits, boxes, predictions.canvas)

    def decode(self, predictions: SpotsPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Each query's likeliest class, best first."""
        scores, labels = predictions.logits[0].sigmoid().float().cpu().max(-1)
        rows, columns = predictions.canvas
        boxes = cxcywh_to_xyxy(predictions.boxes[0].float().cpu()) * torch.tensor([columns, rows] * 2)
        return [
            ImageResult(self._instances(*entry)) for entry in zip(scores, labels, boxes, meta, strict=True)
        ]

    def on_canvas(self, predictions: SpotsPredictions) -> CanvasObjects:
        """The same on the canvas, in tensor operations alone; exported models tell it."""
        likeliest, labels = predictions.logits[0].sigmoid().max(-1)
        scores, query = likeliest.topk(likeliest.shape[1], 1)
        rows, columns = predictions.canvas
        boxes = cxcywh_to_xyxy(predictions.boxes[0])
        boxes = boxes.gather(1, query[..., None].expand(-1, -1, 4)) * boxes.new_tensor([columns, rows] * 2)
        return CanvasObjects(boxes, scores, labels.gather(1, query), query, predictions.canvas)

    def _instances(
        self, scores: Float[Tensor, " Q"], labels: Tensor, boxes: Float[Tensor, "Q 4"], at: ImageMeta
    ) -> Instances:
        order, count = scores.argsort(descending=True, stable=True), len(scores)
        return Instances(
            height=at.height,
            width=at.width,
            categories=self.categories,
            labels=labels[order],
            scores=scores[order],
            boxes=at.boxes_to_original(boxes[order]),
            tasks=(self.name,) * count,
            rles=(None,) * count,
            keypoints=torch.full((count, self.categories.max_keypoints, 3), torch.nan),
            queries=tuple(order.tolist()),
            image_id=at.image_id,
            file_name=at.file_name,
        )

    def evaluator(self) -> CocoEvaluator:
        """COCO box AP."""
        return CocoEvaluator(self.name, "bbox", self.categories)
