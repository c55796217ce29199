"""What labelled images show: which classes each, and which classes every patch."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.structures.annotations import Annotations, SplitName
from mtvit_core.structures.framing import Letterbox
from mtvit_train.build.data import read_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.images import ImageDataset

#: Share of a patch that an object has to cover.
COVERED = 0.5
SPLITS: tuple[SplitName, SplitName] = ("train", "val")


@dataclass(frozen=True)
class LabelledImages:
    """The images of one split on a canvas, with their labels; at most so many.

    Attributes:
        samples: The images.
        count: How many of them are used.
    """

    samples: ImageDataset
    count: int

    @property
    def packed(self) -> PackedAnnotations:
        """The annotations."""
        return self.samples.packed

    @property
    def files(self) -> list[Path]:
        """All image files of the split."""
        return [self.packed.image(index).path for index in range(len(self.packed))]

    def shown(self, annotations: Annotations, spec: BackboneSpec) -> Bool[Tensor, "N C"]:
        """Tell which classes cover each patch of an image."""
        canvas, classes = self.samples.canvas, len(self.packed.categories)
        assert isinstance(canvas, Letterbox)
        height, width = canvas.height, canvas.width
        covered = torch.zeros(classes, height, width)
        if annotations.masks is not None:
            for mask, label in zip(annotations.masks, annotations.labels.tolist(), strict=True):
                covered[label] = torch.maximum(covered[label], mask.float())
        else:
            corners = annotations.boxes.round().int().clamp(min=0).tolist()
            for (x0, y0, x1, y1), label in zip(corners, annotations.labels.tolist(), strict=True):
                covered[label, y0:y1, x0:x1] = 1
        share: Float[Tensor, "C h w"] = F.adaptive_avg_pool2d(covered, spec.grid)
        return share.flatten(1).T > COVERED


def labelled_images(data: str, canvas: tuple[int, int], most: int) -> tuple[LabelledImages, LabelledImages]:
    """Read the training and the validation images of a folder in COCO's layout.

    Raises:
        DataError: a file is missing or malformed.
    """
    config = RunConfig(data=data)
    found = [read_split(config, Path(data), split) for split in SPLITS]
    samples = [ImageDataset(packed, Letterbox(*canvas), needs={"boxes", "masks"}) for packed in found]
    train, val = (LabelledImages(each, min(most, len(each))) for each in samples)
    return train, val
