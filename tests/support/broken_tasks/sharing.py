"""Tasks that are broken in how they share queries."""

from dataclasses import replace
from typing import Any

import torch

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.results.image_result import ImageResult
from mtvit_core.tasks.consensus import QueryObjects
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection


class Misplaced(Detection):
    """Counts its targets where it should tell their rows in the annotations."""

    def targets(self, annotations: Any, canvas: Any, device: Any) -> DetTargets:
        found = super().targets(annotations, canvas, device)
        return replace(found, objects=torch.arange(found.objects.shape[1]).expand_as(found.objects))


class Doubled(Detection):
    """Says that all its targets are one object."""

    def targets(self, annotations: Any, canvas: Any, device: Any) -> DetTargets:
        found = super().targets(annotations, canvas, device)
        return replace(found, objects=torch.zeros_like(found.objects))


class Secretive(Detection):
    """Does not tell the query of an object."""

    def decode(self, predictions: Any, meta: Any) -> list[ImageResult]:
        found = super().decode(predictions, meta)
        return [ImageResult(replace(one.instances, queries=())) for one in found]


class Particular(Detection):
    """Has other queries when they are its own."""

    def tokens(self, backbone: BackboneSpec) -> Any:
        return [replace(group, enter=group.enter - 1) for group in super().tokens(backbone)]


class Deaf(Detection):
    """Does not take the boxes that the group agrees on."""

    def with_query_objects(self, predictions: DetPredictions, objects: QueryObjects) -> DetPredictions:
        return replace(predictions, logits=objects.logits[None])


class Stubborn(Detection):
    """Adds its own opinion to the classes that the group agrees on."""

    def decode(self, predictions: Any, meta: Any) -> list[ImageResult]:
        return super().decode(replace(predictions, logits=predictions.logits + 18), meta)


class Wordy(Detection):
    """Says one class too many."""

    def query_objects(self, predictions: DetPredictions) -> QueryObjects:
        said = super().query_objects(predictions)
        return replace(said, logits=torch.cat([said.logits, said.logits[..., :1]], -1))


class Unshared(Detection):
    """Joins a group without a matching cost."""

    def cost(self, predictions: Any, targets: Any) -> Any:
        return None
