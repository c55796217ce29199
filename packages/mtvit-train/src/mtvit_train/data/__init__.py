"""Data: COCO annotation files, packed annotations, samples on a canvas, and the order in which they come."""

from mtvit_train.data.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.coco import CocoConfig, read_coco
from mtvit_train.data.dataset import ImageDataset, Sample, collate
from mtvit_train.data.loader import load
from mtvit_train.data.packed import ImageRecord, Member, PackedAnnotations
from mtvit_train.data.sampler import EpochSampler, Key

__all__ = [
    "NO_AUGMENT",
    "AugmentConfig",
    "CocoConfig",
    "EpochSampler",
    "ImageDataset",
    "ImageRecord",
    "Key",
    "Member",
    "PackedAnnotations",
    "Sample",
    "collate",
    "load",
    "read_coco",
]
