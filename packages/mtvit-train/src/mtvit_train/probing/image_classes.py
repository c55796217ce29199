"""What a frozen backbone knows of the classes of whole images: nearest neighbours and a linear probe.

Training images are read once, without augmentation; validation images are asked.
"""

import math
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import DataError
from mtvit_core.model.modes import evaluating
from mtvit_core.structures.annotations import IMAGE_LABELS
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.loading.loader import load
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.pretraining.pretext import summary
from mtvit_train.probing.scores import accuracy, linear, mean_precision, nearest

Method = Literal["knn", "linear"]


@dataclass(frozen=True)
class ImageFeatures:
    """Features of the labelled images of a split, and the classes that they show."""

    features: Float[Tensor, "S D"]
    shown: Bool[Tensor, "S C"]


@torch.no_grad()
def image_features(backbone: Backbone, packed: PackedAnnotations, batch_size: int = 25) -> ImageFeatures:
    """Read the images of a split whose classes are labelled, each fitted into the canvas.

    Args:
        backbone: On any device; what stands for an image is its class token, or its mean patch without one.
        packed: The split.
        batch_size: Images per pass.

    Raises:
        DataError: no image is labelled.
    """
    labelled = [int(i) for i in packed.mapped(IMAGE_LABELS).nonzero()[0]]
    if not labelled:
        raise DataError(
            "evaluate: the data label no whole image; give folders of images by class (reader "
            "'class_folders'), a CSV file (reader 'csv_labels') or annotations/labels_<split>2017.json."
        )
    samples = ImageDataset(packed, Letterbox(*backbone.spec.canvas), needs={IMAGE_LABELS})
    keys = [[(0, i) for i in labelled[s : s + batch_size]] for s in range(0, len(labelled), batch_size)]
    features, shown = [], []
    with evaluating(backbone), closing(load(samples, keys)) as stream:
        for batch in stream:
            features.append(summary(backbone(batch.images.to(backbone.mean.device)).last).float().cpu())
            for one in batch.annotations:
                assert one.image_labels is not None
                shown.append(one.image_labels.present > 0)
    return ImageFeatures(torch.cat(features), torch.stack(shown))


def probe_classes(
    train: ImageFeatures, val: ImageFeatures, methods: Collection[Method], neighbours: int = 20
) -> dict[str, float]:
    """Return the metrics of each method, keyed ``method/metric``.

    Args:
        train: What is learned from.
        val: What is asked.
        methods: ``knn``: the vote of the nearest images; ``linear``: a ridge regression.
        neighbours: Images that vote.

    Returns:
        mAP; where every image shows one class also top1, and top5 of more than five classes.
    """
    found: dict[str, float] = {}
    for method in methods:
        if method == "knn":
            scores = nearest(train.features, train.shown, val.features, neighbours)
        else:
            scores = linear(train.features, train.shown, val.features)
        single = bool((torch.cat([train.shown, val.shown]).sum(1) == 1).all())
        ks = [k for k in (1, 5) if single and (k == 1 or val.shown.shape[1] > k)]
        found |= {f"{method}/top{k}": accuracy(scores, val.shown, k) for k in ks}
        mean = mean_precision(scores, val.shown)
        found |= {} if math.isnan(mean) else {f"{method}/mAP": mean}
    return found
