"""The top-down pose task: the keypoints of the one person a crop shows."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.canvases.crops import CropRule, person_roi
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances, concatenate
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_pose.config import PoseConfig
from mtvit_pose.oks_nms import oks_nms
from mtvit_pose.onepass.targets import NEEDS, schema_table
from mtvit_pose.topdown.codec import Codec
from mtvit_pose.topdown.decoder import Heatmaps
from mtvit_pose.topdown.heatmap import joints_mse

#: Keypoints below this score do not enter a person's score.
SEEN = 0.2


@dataclass(frozen=True)
class CropTargets:
    """What the top-down loss reads.

    Attributes:
        points: x, y in crop pixels; zero in crops without labels.
        weights: 1 for labelled keypoints, else 0.
        counts: People per crop: 1, or 0 where the crop is not labelled.
        labelled: Whether the crop's keypoints are labelled.
    """

    points: Float[Tensor, "B K 2"]
    weights: Float[Tensor, "B K"]
    counts: tuple[int, ...]
    labelled: Bool[Tensor, " B"]


class TopDownPose(Task[PoseConfig, Heatmaps, CropTargets]):
    """A heatmap per keypoint; each variant says where it comes from.

    Attributes:
        error_scale: Factor on the error of the heatmaps, as the variant's authors have it.
    """

    name: ClassVar[str] = "pose"
    Config: ClassVar[type[TaskConfig]] = PoseConfig
    needs: ClassVar[frozenset[str]] = NEEDS
    error_scale: ClassVar[float] = 1.0

    def __init__(self, config: PoseConfig, categories: Categories) -> None:
        """Keep the settings and the categories.

        Args:
            config: Settings.
            categories: Classes of the data; exactly one has keypoints.

        Raises:
            ConfigError: several categories have keypoints; a crop does not say which one it shows. Or crops
                are to be mirrored, and left and right of the keypoints are not known.
        """
        super().__init__(config, categories)
        labels = categories.keypoint_labels
        if len(labels) != 1:
            names = ", ".join(categories[label].name for label in labels)
            raise ConfigError(
                f"tasks.pose.variant {config.variant!r} draws the keypoints of one category, but "
                f"{len(labels)} have some ({names}). Use variant 'onepass', or data with one such category."
            )
        self.label = labels[0]
        schema = categories[self.label].keypoints
        assert schema is not None
        if config.flip_test and not schema.flip_pairs:
            raise ConfigError(
                f"tasks.pose.flip_test: the keypoints of {categories[self.label].name!r} have no pairs "
                "of left and right, so mirrored crops cannot be read; leave it false."
            )
        self.flip_order = list(schema.flip_order)
        self.sigmas = schema_table(categories)[0][0]

    @property
    @abstractmethod
    def codec(self) -> Codec:
        """How crops are cut, and keypoints drawn and read."""

    @property
    def crop(self) -> CropRule:
        """Crops lie around their boxes as the codec says."""
        return self.codec.crop

    @property
    def view(self) -> Literal["person"]:
        """One crop per person."""
        return "person"

    @property
    def mirrors(self) -> bool:
        """Whether heatmaps of the mirrored crop are asked for."""
        return self.config.flip_test

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any
    ) -> CropTargets:
        """Collect the keypoints of row 0 of every crop's annotations; the other rows are bystanders."""
        keypoints = torch.zeros(len(annotations), self.categories.max_keypoints, 3)
        labelled = [entry.has >= NEEDS and len(entry) > 0 for entry in annotations]
        for row, (entry, known) in enumerate(zip(annotations, labelled, strict=True)):
            if entry.keypoints is not None and known:
                keypoints[row] = entry.keypoints[0]
        return CropTargets(
            points=keypoints[..., :2].to(device),
            weights=(keypoints[..., 2] > 0).float().to(device),
            counts=tuple(int(known) for known in labelled),
            labelled=torch.tensor(labelled, dtype=torch.bool).to(device),
        )

    def loss(self, predictions: Heatmaps, targets: CropTargets, match: Match | None) -> dict[str, Tensor]:
        """Return the weighted error of the maps, a mean over labelled crops."""
        truth, weights = self._truth(predictions, targets)
        share = len(weights) / shared_count(targets.labelled.sum())
        error = joints_mse(predictions.maps, truth, weights) * share
        return {"heatmap": self.config.loss_joints * self.error_scale * error}

    def _truth(self, predictions: Heatmaps, targets: CropTargets) -> tuple[Tensor, Tensor]:
        """Maps B K h w that the predictions should equal, and the weight B K of each."""
        maps = predictions.maps
        shape = (maps.shape[2], maps.shape[3])
        mu = self.codec.grid(shape, predictions.canvas).to_map(targets.points)
        truth, on_map = self.codec.targets(mu, shape)
        return truth.to(maps.dtype), targets.weights * on_map

    def teach(self, predictions: Heatmaps) -> Heatmaps:
        """The maps as they are."""
        return predictions

    def distill(self, predictions: Heatmaps, lesson: Heatmaps) -> dict[str, Tensor]:
        """Mean squared distance of the maps of all crops, labelled or not (Xu et al. 2022).

        Raises:
            ConfigError: the teacher's maps are of another size.
        """
        own, maps = predictions.maps, lesson.maps
        if own.shape != maps.shape:
            raise ConfigError(
                f"distill: the teacher's heatmaps have {maps.shape[2]} x {maps.shape[3]} points, those of "
                f"tasks.pose {own.shape[2]} x {own.shape[3]}; give both the same variant and patch."
            )
        crops = shared_count(torch.full((), len(maps), device=maps.device))
        error = (own - maps).square().mean((1, 2, 3)).sum() / crops
        return {"heatmap": self.config.loss_joints * self.error_scale * error}

    def perfect(self, predictions: Heatmaps, targets: CropTargets) -> Heatmaps:
        """The maps of the loss; nothing is drawn for keypoints that are not labelled."""
        truth, weights = self._truth(predictions, targets)
        return replace(predictions, maps=truth * weights[..., None, None])

    def average(self, predictions: Heatmaps, mirrored: Heatmaps) -> Heatmaps:
        """Return the mean of the maps and those of the mirrored crops, turned back, pairs swapped."""
        back = self.codec.turned_back(mirrored.maps)[:, self.flip_order]
        return replace(predictions, maps=(predictions.maps + back) / 2)

    @torch.no_grad()
    def decode(self, predictions: Heatmaps, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return one person per crop.

        A keypoint's score is the height of its peak; a person's score is the mean of those above 0.2 times
        the score of the box that was cropped.
        """
        maps = predictions.maps.float().cpu()
        points, peaks = self.codec.decode(maps)
        points = self.codec.grid((maps.shape[2], maps.shape[3]), predictions.canvas).to_crop(points)
        return [ImageResult(self._person(*entry)) for entry in zip(points, peaks, meta, strict=True)]

    def _person(
        self, points: Float[Tensor, "K 2"], scores: Float[Tensor, " K"], meta: ImageMeta
    ) -> Instances:
        scores = scores.clamp(max=1)  # a peak may overshoot the 1 that it is trained to
        seen = scores > SEEN
        score = (scores * seen).sum() / seen.sum().clamp(min=1) * meta.box_score
        box = meta.box or (0.0, 0.0, float(meta.width), float(meta.height))
        return Instances(
            height=meta.height,
            width=meta.width,
            categories=self.categories,
            labels=torch.tensor([self.label]),
            scores=score[None],
            boxes=torch.tensor([box]),
            tasks=(self.name,),
            rles=(None,),
            keypoints=torch.cat([meta.points_to_original(points), scores[:, None]], -1)[None],
            image_id=meta.image_id,
            file_name=meta.file_name,
        )

    def join(self, parts: Sequence[ImageResult], meta: Sequence[ImageMeta]) -> ImageResult:
        """Join the poses of one image, best first, without those that resemble a better one (OKS-NMS)."""
        found = concatenate([part.instances for part in parts])
        rois = [person_roi(m.box, m.content) for m in meta if m.box is not None]
        areas = torch.tensor([roi.width * roi.height for roi in rois])
        points = found.keypoints[..., :2]
        return ImageResult(found[oks_nms(points, areas, found.scores, self.sigmas, self.config.oks_nms)])

    def evaluator(self) -> CocoEvaluator:
        """Return COCO's keypoint AP."""
        return CocoEvaluator(self.name, "keypoints", self.categories)
