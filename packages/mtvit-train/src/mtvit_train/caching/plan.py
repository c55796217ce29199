"""What a cache of one view holds, how large it is, and by which key runs share it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks.task import View
from mtvit_train.__about__ import __version__
from mtvit_train.config.run import RunConfig
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.data.samples.persons import PersonDataset
from mtvit_train.optim.param_groups import frozen_blocks

#: Changes whenever files of before can no longer be read.
FORMAT = 1
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class CachePlan:
    """What is computed of one view of the data.

    Attributes:
        view: ``image`` or ``person``.
        samples: The images or crops.
        views: Views V of each.
        depths: Blocks at whose input tokens are kept.
        shape: Tokens S of a sample and their width D.
        dtype: Their type.
        key: What all of it depends on, as a checksum.
    """

    view: View
    samples: ImageDataset | PersonDataset
    views: int
    depths: tuple[int, ...]
    shape: tuple[int, int]
    dtype: torch.dtype
    key: str

    @classmethod
    def of(cls, config: RunConfig, model: MultiTaskViT, view: View, samples: Any) -> "CachePlan":
        """Plan the cache of a view.

        Raises:
            ConfigError: no block is frozen, or the family of the backbone does not offer its context.
        """
        backbone, table = model.backbone, config.cache
        frozen = frozen_blocks(config.train, backbone)
        if not frozen:
            raise ConfigError(
                f"config: cache.views is {table.views}, but no block is frozen, so nothing stays the same; "
                "set train.backbone_lr=0, or train.frozen_blocks to how many of the first blocks are to be."
            )
        depths, canvas = model.known_depths(view, frozen), model.canvases[view]
        with model.answering(), torch.no_grad():
            blank = torch.zeros(1, 3, *canvas, dtype=torch.uint8, device=model.device)
            tokens = backbone.context(blank, depths[:1])[depths[0]]
        facts = {
            "format": FORMAT,
            "mtvit": __version__,
            "backbone": [backbone.name, backbone.options],
            "weights": weights_checksum(backbone, max(depths)),
            "multiplied in": str(backbone.precision),
            "depths": depths,
            "dtype": table.dtype,
            "canvas": canvas,
            "views": [view, table.views, config.train.seed, config.augment.model_dump(mode="json")],
            "transforms": config.transforms,
            "samples": samples_checksum(samples),
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        shape = (tokens.shape[1], tokens.shape[2])
        return cls(view, samples, table.views, depths, shape, DTYPES[table.dtype], key)

    @property
    def count(self) -> int:
        """Number of views of all samples."""
        return len(self.samples) * self.views

    @property
    def bytes_each(self) -> int:
        """Bytes of one view of a sample."""
        return len(self.depths) * self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __str__(self) -> str:
        """Say what is kept, and how much it is."""
        what = {"image": "images", "person": "people"}[self.view]
        blocks = "block" if len(self.depths) == 1 else "blocks"
        return (
            f"{len(self.samples)} {what} x {self.views} views, {self.shape[0]} tokens at the input of "
            f"{blocks} {', '.join(map(str, self.depths))}: {self.bytes_each / 1e6:.2f} MB each, "
            f"{self.count * self.bytes_each / 1e9:.2f} GB"
        )


def weights_checksum(backbone: Backbone, blocks: int) -> str:
    """Return a checksum of the embedding, of the first so many blocks, and of all that is no weight."""
    weights = {name for name, _ in backbone.named_parameters()}
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        if name not in weights or backbone.depth_of(name) <= blocks:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def samples_checksum(samples: ImageDataset | PersonDataset) -> str:
    """Return a checksum of all that views of images or crops are drawn from, but for settings.

    A file of an image counts by its size and by the time at which it was changed.
    """
    packed, digest = samples.packed, hashlib.sha256()
    for fact in _image_facts(packed):
        digest.update(fact)
    if isinstance(samples, PersonDataset):
        digest.update(samples.crop.encode())
        for array in (samples.rows, samples.boxes, packed.labels, packed.keypoint_rows, packed.keypoints):
            digest.update(np.ascontiguousarray(array).tobytes())
        schemas: Sequence[str] = [repr(category.keypoints) for category in packed.categories]
        digest.update("".join(schemas).encode())
    else:
        digest.update(bytes(samples.may_flip(index) for index in range(len(samples))))
        digest.update(samples.partners.astype(np.int64).tobytes())
    return digest.hexdigest()


def _image_facts(packed: PackedAnnotations) -> list[bytes]:
    facts = []
    for index in range(len(packed)):
        record = packed.image(index)
        found = record.path.stat() if record.path.is_file() else None
        state = (found.st_size, found.st_mtime_ns) if found else None
        facts.append(repr((record.file_name, record.height, record.width, state)).encode())
    return facts
