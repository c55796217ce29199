"""From the settings of a pre-training to the model that learns, its teacher, and its images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.tasks.task import View
from mtvit_train.build.model import weights_of
from mtvit_train.config.pretraining import COLOURS, PretrainConfig, TeacherConfig
from mtvit_train.config.run import ModelConfig
from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.samples.crops import Changes, CropKind, CroppedImage, UnlabelledImages
from mtvit_train.pretraining.dino import OwnAverage, SelfDistillation
from mtvit_train.pretraining.distillation import Distillation, FeatureTeacher
from mtvit_train.pretraining.figure_finder import FigureFinder
from mtvit_train.pretraining.mae import MaskedAutoencoder
from mtvit_train.pretraining.pretext import Crops, Pretext

#: Side of small crops relative to the canvas (DINOv2: 96 of 224).
_SMALL = 96 / 224


@dataclass(frozen=True)
class UnlabelledSplit:
    """Images without labels, as a trainer takes them."""

    views: dict[View, UnlabelledImages]
    mixtures: Mapping[View, Mixture] = field(default_factory=dict)

    @property
    def collate(self) -> Callable[[Sequence[CroppedImage]], Crops]:
        """Puts crops together."""
        return together


def together(samples: Sequence[CroppedImage]) -> Crops:
    """Put the crops of images together."""
    return Crops(torch.stack([s.large for s in samples]), torch.stack([s.small for s in samples]))


def make_split(config: PretrainConfig, paths: Sequence[Path], patch: tuple[int, int]) -> UnlabelledSplit:
    """Return the images of a pre-training as the method wants them.

    Args:
        config: Settings.
        paths: Image files.
        patch: Patch of the backbone.
    """
    crops, method = config.crops, config.method
    side = crops.small_size
    small = tuple(
        side or max(1, round(_SMALL * c / p)) * p for c, p in zip(config.model.image_size, patch, strict=True)
    )
    colours = method in ("distill", "dino")
    changes = Changes(
        hflip=crops.hflip,
        colour=crops.colour * colours,
        colours=COLOURS,
        grey=crops.grey * colours,
        blur=crops.blur * colours,
    )
    large = CropKind(2 if method == "dino" else 1, config.model.image_size, crops.scale)
    others = CropKind(crops.small if method == "dino" else 0, (small[0], small[1]), crops.small_scale)
    return UnlabelledSplit({"image": UnlabelledImages(paths, large, others, changes, config.train.seed)})


def make_pretext(config: PretrainConfig) -> tuple[Pretext, FeatureTeacher | OwnAverage | None]:
    """Build what learns, on the CPU, with weights drawn from the seed, and its teacher.

    Raises:
        ConfigError: the backbone or the teacher cannot be made, or does not fit the method.
        CheckpointError: a file does not hold the weights of its model.
    """
    torch.manual_seed(config.train.seed)
    table = config.model
    backbone = create_backbone(table.backbone, table.image_size, weights_of(table), table.options)
    backbone.checkpointing = config.train.checkpointing
    if config.method == "mae":
        return MaskedAutoencoder(backbone, config.mae), None
    if config.method == "figures":
        return FigureFinder(backbone), None
    if config.method == "dino":
        return SelfDistillation(backbone, config.dino), OwnAverage(config.dino.mask)
    teacher = make_teacher(config.distill, table)
    width = teacher.backbone.spec.width
    return Distillation(backbone, width, config.distill), teacher


def make_teacher(config: TeacherConfig, student: ModelConfig) -> FeatureTeacher:
    """Load the teacher, on a canvas as near to the student's as its patch allows.

    Raises:
        ConfigError: its name is unknown, or its weights cannot be had.
        CheckpointError: the file does not hold its weights.
    """
    weights = weights_of(ModelConfig(pretrained=config.pretrained))
    if not weights:
        raise ConfigError(
            "config: distill.pretrained is false, so the teacher would have random weights; set it to true "
            "for published ones, or to a local file."
        )
    wanted = config.image_size if all(config.image_size) else student.image_size
    random = torch.get_rng_state()
    patch = _patch_of(config, wanted)
    rows, columns = (max(1, round(c / p)) * p for c, p in zip(wanted, patch, strict=True))
    backbone = create_backbone(config.teacher, (rows, columns), weights, config.options)
    torch.set_rng_state(random)  # what the student draws does not depend on its teacher
    return FeatureTeacher(backbone, mixup=config.mixup)


def _patch_of(config: TeacherConfig, canvas: tuple[int, int]) -> tuple[int, int]:
    """Return the patch of the teacher: made once without weights on a canvas that most patches divide."""
    rows, columns = (max(1, round(c / 112)) * 112 for c in canvas)
    options: dict[str, Any] = {**config.options}
    return create_backbone(config.teacher, (rows, columns), options=options).spec.patch
