"""One measurement of a backbone: neighbours and linear probes where there are labels, rank, pictures."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtvit_core.backbones.interface import Backbone
from mtvit_core.model.modes import evaluating
from mtvit_core.structures.framing import Letterbox
from mtvit_core.structures.image_files import read_image
from mtvit_train.data.loading.loader import load
from mtvit_train.data.samples.placement import Placement
from mtvit_train.pretraining.distillation import resized
from mtvit_train.pretraining.pretext import summary
from mtvit_train.probing.labelled import LabelledImages
from mtvit_train.probing.pictures import attention_pictures, component_pictures, nearness_pictures
from mtvit_train.probing.scores import (
    Spread,
    effective_rank,
    linear,
    mean_cosine,
    mean_precision,
    nearest,
)

#: Images of a pass.
_PASS = 16
#: Patches of each image that a linear probe learns from and is asked about, at most.
_PATCHES = 64


@dataclass(frozen=True)
class Measured:
    """What a measurement found.

    Attributes:
        metrics: Numbers by name.
        most: Highest rank that the features can have.
        pictures: Of each of some images: itself, its components, how near patches are to the whole, and where
            the backbone has a class token, what that attends to.
    """

    metrics: dict[str, float]
    most: int
    pictures: tuple[tuple[Image.Image, ...], ...]

    @property
    def spread(self) -> Spread:
        """How well the features tell images apart."""
        return Spread(self.metrics["rank"], self.metrics["mean_cosine"])


@dataclass(frozen=True)
class Probe:
    """Images that a backbone is measured on, always the same.

    Attributes:
        unlabelled: Image files, for rank and pictures.
        labelled: Training and validation images with labels; None without.
        neighbours: Nearest images that vote.
        pictures: Images of which pictures are drawn.
    """

    unlabelled: tuple[Path, ...]
    labelled: tuple[LabelledImages, LabelledImages] | None
    neighbours: int
    pictures: int

    @torch.no_grad()
    def measure(self, backbone: Backbone, check: Callable[[], None] = lambda: None) -> Measured:
        """Measure a backbone, in evaluation mode and in the type of its weights.

        Args:
            backbone: On any device; it is back in its mode afterwards.
            check: Called after each pass.
        """
        precision, backbone.precision = backbone.precision, None
        try:
            with evaluating(backbone):
                return self._measure(backbone, check)
        finally:
            backbone.precision = precision

    def _measure(self, backbone: Backbone, check: Callable[[], None]) -> Measured:
        images = [_on_canvas(path, backbone.spec.canvas) for path in self.unlabelled]
        parts, shown, attended = [], [], []
        for start in range(0, len(images), _PASS):
            batch = torch.stack(images[start : start + _PASS])
            seen = backbone(batch.to(backbone.mean.device)).last
            parts.append(summary(seen).float().cpu())
            drawn = batch[: max(0, self.pictures - start)]
            shown.append(seen.patches[: len(drawn)].float().cpu())
            weights = backbone.class_attention(drawn.to(backbone.mean.device)) if len(drawn) else None
            attended += [] if weights is None else list(weights.float().cpu())
            check()
        x, patches = torch.cat(parts), torch.cat(shown)
        metrics = {"rank": effective_rank(x), "mean_cosine": mean_cosine(x)}
        if self.labelled is not None:
            metrics |= self._scores(backbone, check)
        return Measured(metrics, min(x.shape), _pictures(images, patches, x, attended))

    def _scores(self, backbone: Backbone, check: Callable[[], None]) -> dict[str, float]:
        assert self.labelled is not None
        train, val = (_read(backbone, split, check) for split in self.labelled)
        names = {c.name: i for i, c in enumerate(self.labelled[0].packed.categories)}
        scores = linear(train.patches, train.covered, val.patches)
        found = {
            "knn_mAP": mean_precision(
                nearest(train.whole, train.shown, val.whole, self.neighbours), val.shown
            ),
            "linear_mAP": mean_precision(linear(train.whole, train.shown, val.whole), val.shown),
            "patch_mAP": mean_precision(scores, val.covered),
        }
        if "person" in names:
            own = slice(names["person"], names["person"] + 1)
            found["patch_person_AP"] = mean_precision(scores[:, own], val.covered[:, own])
        return {name: value for name, value in found.items() if not math.isnan(value)}


@dataclass(frozen=True)
class _Read:
    whole: Float[Tensor, "S D"]
    shown: Bool[Tensor, "S C"]
    patches: Float[Tensor, "P D"]
    covered: Bool[Tensor, "P C"]


def _read(backbone: Backbone, split: LabelledImages, check: Callable[[], None]) -> _Read:
    """Read the features of a split, and what is labelled there."""
    keys = [[(0, i) for i in range(s, min(s + _PASS, split.count))] for s in range(0, split.count, _PASS)]
    whole, shown, patches, covered = [], [], [], []
    generator = torch.Generator().manual_seed(0)  # the same patches each time
    with closing(load(split.samples, keys)) as stream:
        for batch in stream:
            images = resized(batch.images, backbone.spec.canvas)
            seen = backbone(images.to(backbone.mean.device)).last
            whole.append(summary(seen).float().cpu())
            tokens = seen.patches.flatten(2).transpose(1, 2).float().cpu()
            for place, annotations in enumerate(batch.annotations):
                classes = split.shown(annotations, backbone.spec)
                shown.append(_present(annotations.labels, classes.shape[1]))
                some = torch.randperm(len(classes), generator=generator)[:_PATCHES]
                patches.append(tokens[place, some])
                covered.append(classes[some])
            check()
    return _Read(torch.cat(whole), torch.stack(shown), torch.cat(patches), torch.cat(covered))


def _present(labels: Tensor, classes: int) -> Bool[Tensor, " C"]:
    return torch.zeros(classes, dtype=torch.bool).index_fill(0, labels, value=True)


def _on_canvas(path: Path, canvas: tuple[int, int]) -> Tensor:
    image = read_image(path)
    placement = Placement.letterbox(image.shape[1], image.shape[2], Letterbox(*canvas))
    return placement.pad(placement.window(image))


def _pictures(
    images: Sequence[Tensor],
    patches: Float[Tensor, "B D h w"],
    x: Float[Tensor, "S D"],
    attended: Sequence[Float[Tensor, "A h w"]],
) -> tuple[tuple[Image.Image, ...], ...]:
    if not len(patches):
        return ()
    size = (int(images[0].shape[1]), int(images[0].shape[2]))
    themselves = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images[: len(patches)]]
    drawn = [component_pictures(patches, size), nearness_pictures(patches, x[: len(patches)], size)]
    if attended:
        drawn.append(attention_pictures(torch.stack(list(attended)), size))
    return tuple(zip(themselves, *drawn, strict=True))
