"""Learning the features of a published backbone (AM-RADIO, Ranzinger et al. 2024).

    L = w_s (1 - cos(s, t)) + w_p [0.9 (1 - cos(P, T)) + 0.1 L1_smooth(P, T)]

s and P are the student's class token and patches through LayerNorm and a linear layer each, P resampled to
the teacher's grid. Of t and T their mean is subtracted, and they are divided by one number, the root of their
mean variance. The student sees the same crop as the teacher (Beyer et al. 2022).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.interface import Backbone
from mtvit_core.tasks.task import View
from mtvit_train.config.pretraining import TeacherConfig
from mtvit_train.pretraining.pretext import Crops, Pretext, summary

#: Weight of the smooth L1 of patches; that of their cosine is the rest (AM-RADIO).
L1_SHARE = 0.1
#: Least share of a batch in the mean and the variance of the teacher's features.
LEAST_SHARE = 1e-3


class FeatureTeacher:
    """A frozen backbone that says what it sees in large crops; no part of the model that learns."""

    def __init__(self, backbone: Backbone, *, mixup: bool) -> None:
        """Keep the backbone.

        Args:
            backbone: Its canvas is what it is shown.
            mixup: Whether images are mixed in pairs before.
        """
        self.backbone, self.mixup = backbone.eval().requires_grad_(False), mixup

    def to(self, device: torch.device, precision: torch.dtype | None) -> "FeatureTeacher":
        """Go to a device; the backbone multiplies in ``precision``."""
        self.backbone.to(device).precision = precision
        return self

    @torch.no_grad()
    def lessons(self, batch: Crops, view: View) -> dict[str, Tensor]:
        """Return the images, mixed or not, and the class token and patches of each."""
        images = batch.large[:, 0].to(self.backbone.mean.device)
        images = mixed(images) if self.mixup else images
        seen = self.backbone(resized(images, self.backbone.spec.canvas)).last
        return {"images": images, "summary": summary(seen), "patches": seen.patches}

    def weigh(self, terms: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Leave the terms as they are."""
        return dict(terms)


class Standardised(nn.Module):
    """Subtracts the mean of a teacher's features, and divides by one number, both estimated on the way."""

    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(self, width: int) -> None:
        """Know nothing of the features yet."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """Standardise features; in training they are counted first."""
        if self.training:
            share = (1 / (self.seen + 1)).clamp(min=LEAST_SHARE)
            flat = x.flatten(0, 1)
            self.mean.lerp_(flat.mean(0), share)
            self.variance.lerp_((flat - self.mean).square().mean(), share)
            self.seen += 1
        return (x - self.mean) / (self.variance + 1e-6).sqrt()


class Distillation(Pretext):
    """A backbone that learns the features of another one."""

    name: ClassVar[str] = "distill"
    remedy: ClassVar[str] = "lower train.lr, or set distill.mixup=false"

    def __init__(self, backbone: Backbone, teacher_width: int, config: TeacherConfig) -> None:
        """Build the projections.

        Args:
            backbone: The student.
            teacher_width: Token width of the teacher.
            config: Weights of the losses.
        """
        super().__init__(backbone)
        width = backbone.spec.width
        self.config = config
        self.to_summary = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, teacher_width))
        self.to_patches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, teacher_width))
        self.of_summary, self.of_patches = Standardised(teacher_width), Standardised(teacher_width)

    def terms(self, crops: Crops, lessons: Mapping[str, Any]) -> dict[str, Float[Tensor, ""]]:
        """Return the loss on whole images and that on patches."""
        seen = self.backbone(lessons["images"]).last
        t = self.of_summary(lessons["summary"][:, None])[:, 0]
        s = self.to_summary(summary(seen))
        truth = self.of_patches(lessons["patches"].flatten(2).transpose(1, 2))
        grid = lessons["patches"].shape[2:]
        guess = self.to_patches(seen.patches.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        guess = F.interpolate(guess, size=grid, mode="bilinear").flatten(2).transpose(1, 2)
        distance = (1 - F.cosine_similarity(guess, truth, dim=-1)).mean()
        error = F.smooth_l1_loss(guess, truth)
        return {
            "summary": self.config.summary * (1 - F.cosine_similarity(s, t, dim=-1)).mean(),
            "patches": self.config.patches * ((1 - L1_SHARE) * distance + L1_SHARE * error),
        }


def mixed(images: UInt8[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Mix each image with the one at its place from the end, by a share that is drawn (Zhang et al. 2018)."""
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    return (share * images + (1 - share) * images.flip(0)).round().to(torch.uint8)


def resized(images: UInt8[Tensor, "B 3 H W"], size: tuple[int, int]) -> UInt8[Tensor, "B 3 H2 W2"]:
    """Resize images, antialiased."""
    if images.shape[2:] == size:
        return images
    found = F.interpolate(images.float(), size=size, mode="bicubic", antialias=True)
    return found.round().clamp(0, 255).to(torch.uint8)
