"""Self-distillation: small crops and hidden patches are to say what the averaged weights say of whole crops.

    L = mean over pairs of crops H(p_t(large), p_s(other)) + mean over hidden patches H(p_t, p_s) + w KoLeo
    p_t = softmax((z_t - c) / T_t) or Sinkhorn(z_t / T_t),  p_s = softmax(z_s / T_s)

The teacher is the moving average of the student, which training keeps anyway, and sees no hidden patches.
Hidden patches are painted in the mean colour, which is zero to a normalising backbone of any family.

Sources: Caron et al. 2021 (DINO), Zhou et al. 2022 (iBOT), Oquab et al. 2023 (DINOv2), Sablayrolles et al.
2019 (KoLeo), Cuturi 2013 (Sinkhorn).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.interface import Backbone
from mtvit_core.tasks.task import View
from mtvit_train.config.pretraining import DinoConfig
from mtvit_train.distributed.ranks import mean_over_ranks
from mtvit_train.pretraining.pretext import Crops, Pretext, summary

#: Share of the old centre that is kept at each update (DINO).
CENTRE_KEPT = 0.9
#: Least share of the patches that is hidden in a crop, where any is.
LEAST_HIDDEN = 0.1
_ROUNDS = 3


class PrototypeHead(nn.Module):
    """Three layers, a sphere, and prototypes on it."""

    def __init__(self, width: int, config: DinoConfig) -> None:
        """Draw the weights."""
        super().__init__()
        hidden = config.hidden
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, config.bottleneck),
        )
        self.prototypes = nn.Linear(config.bottleneck, config.prototypes, bias=False)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any K"]:
        """Return the cosine with each prototype."""
        return F.linear(F.normalize(self.layers(x), dim=-1), F.normalize(self.prototypes.weight, dim=-1))


class SelfDistillation(Pretext):
    """A backbone that learns from its own moving average."""

    name: ClassVar[str] = "dino"
    remedy: ClassVar[str] = "lower train.lr, raise train.ema_start, or take --method distill"
    centre: Tensor
    patch_centre: Tensor

    def __init__(self, backbone: Backbone, config: DinoConfig) -> None:
        """Build the head, which whole images and patches share.

        Args:
            backbone: The backbone.
            config: Settings.
        """
        super().__init__(backbone)
        self.config = config
        self.head = PrototypeHead(backbone.spec.width, config)
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.register_buffer("patch_centre", torch.zeros(config.prototypes))

    @torch.no_grad()
    def teach(self, crops: Crops, hidden: Bool[Tensor, "B G N"]) -> dict[str, Tensor]:
        """Return logits of large crops, B G K, and of the patches that are hidden from the student, P K."""
        seen = self.backbone(crops.large.flatten(0, 1)).last
        patches = seen.patches.flatten(2).transpose(1, 2)
        whole = by_image(self.head(summary(seen)), len(crops))
        return {"hidden": hidden, "whole": whole, "patches": self.head(patches[hidden.flatten(0, 1)])}

    def terms(self, crops: Crops, lessons: Mapping[str, Any]) -> dict[str, Float[Tensor, ""]]:
        """Return the loss between crops, that on hidden patches, and that on the spread."""
        config, hidden = self.config, lessons["hidden"]
        images, large = len(crops), crops.large.shape[1]
        painted = paint(crops.large.flatten(0, 1), hidden.flatten(0, 1), self.backbone)
        seen = self.backbone(painted).last
        tokens = [by_image(summary(seen), images)]
        if crops.small.shape[1]:
            small = self.backbone(crops.small.flatten(0, 1)).last
            tokens.append(by_image(summary(small), images))
        truth = by_image(self._targets(lessons["whole"].flatten(0, 1), self.centre), images)
        guess = (self.head(torch.cat(tokens, 1)) / config.student_temperature).log_softmax(-1)
        terms = {"crops": between_crops(truth, guess)}
        if config.mask > LEAST_HIDDEN:  # also where this process hides none: the others wait for its share
            patches = seen.patches.flatten(2).transpose(1, 2)[hidden.flatten(0, 1)]
            own = (self.head(patches) / config.student_temperature).log_softmax(-1)
            share = 1 / hidden.flatten(0, 1).sum(-1).clamp(min=1)
            weight = share[:, None].expand_as(hidden.flatten(0, 1))[hidden.flatten(0, 1)]
            entropy = -(self._targets(lessons["patches"], self.patch_centre) * own).sum(-1)
            terms["patches"] = (entropy * weight).sum() / (images * large)
        if config.koleo and images > 1:
            spread = torch.stack([koleo(tokens[0][:, g]) for g in range(large)]).sum()
            terms["koleo"] = config.koleo * spread
        self._move(lessons)
        return terms

    def _targets(self, logits: Float[Tensor, "S K"], centre: Float[Tensor, " K"]) -> Float[Tensor, "S K"]:
        temperature = self.config.teacher_temperature
        if self.config.centring == "sinkhorn":
            return sinkhorn((logits - 1) / temperature)  # cosines: at most 0
        return ((logits - centre) / temperature).softmax(-1)

    @torch.no_grad()
    def _move(self, lessons: Mapping[str, Any]) -> None:
        """Move the centres towards what the teacher said, in all processes alike."""
        if not self.training:
            return
        for centre, logits in ((self.centre, lessons["whole"]), (self.patch_centre, lessons["patches"])):
            flat = logits.flatten(0, -2)
            total = mean_over_ranks(torch.cat([flat.sum(0), flat.new_full((1,), len(flat))]))
            if total[-1] > 0:
                centre.lerp_(total[:-1] / total[-1], 1 - CENTRE_KEPT)


class OwnAverage:
    """The moving average of a model as its teacher.

    Attributes:
        model: The average; set once training has made it.
    """

    def __init__(self, mask: float) -> None:
        """Keep the largest share of patches that is hidden."""
        self.model: SelfDistillation | None = None
        self.mask = mask

    def follow(self, average: nn.Module) -> None:
        """Take the average that training has made."""
        assert isinstance(average, SelfDistillation)
        self.model = average

    def to(self, device: torch.device, precision: torch.dtype | None) -> "OwnAverage":
        """Stay; the average is where the model is."""
        return self

    def lessons(self, batch: Crops, view: View) -> dict[str, Tensor]:
        """Return what the average says of the large crops, and which patches are hidden."""
        assert self.model is not None
        rows, columns = self.model.backbone.spec.grid
        hidden = draw_hidden(batch.large.shape[:2], (rows, columns), self.mask).to(self.model.device)
        return self.model.teach(Crops(batch.large.to(self.model.device), batch.small), hidden)

    def weigh(self, terms: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Leave the terms as they are."""
        return dict(terms)


def by_image(x: Float[Tensor, "S D"], images: int) -> Float[Tensor, "B G D"]:
    """Group what belongs to crops by their images."""
    return x.view(images, -1, x.shape[-1])


def between_crops(truth: Float[Tensor, "B G K"], guess: Float[Tensor, "B C K"]) -> Float[Tensor, ""]:
    """Cross-entropy of each large crop's target with every other crop, averaged; crops G come first."""
    pairs = -torch.einsum("bgk,bck->bgc", truth, guess)
    same = torch.eye(truth.shape[1], guess.shape[1], dtype=torch.bool, device=truth.device)
    return pairs[:, ~same].mean()


def koleo(tokens: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Minus the mean log distance to the nearest other image on the sphere, in fp32."""
    unit = F.normalize(tokens.float(), dim=-1)
    near = unit @ unit.T - 3 * torch.eye(len(unit), device=unit.device)
    distance: Tensor = (unit - unit[near.argmax(1)]).norm(dim=-1)
    return -(distance + 1e-8).log().mean()


def sinkhorn(logits: Float[Tensor, "S K"]) -> Float[Tensor, "S K"]:
    """Balance samples and prototypes, over the processes of a run."""
    q = logits.exp()
    for _ in range(_ROUNDS):
        q = q / mean_over_ranks(q.sum(0)).clamp(min=1e-12)
        q = q / q.sum(1, keepdim=True).clamp(min=1e-12)
    return q


def draw_hidden(crops: tuple[int, ...], grid: tuple[int, int], most: float) -> Bool[Tensor, "B G N"]:
    """Hide blocks of patches in half of the crops, up to a share that is drawn from 0.1 to ``most``."""
    rows, columns = grid
    hidden = torch.zeros(*crops, rows, columns, dtype=torch.bool)
    if most <= LEAST_HIDDEN:
        return hidden.flatten(2)
    for image in range(crops[0]):
        for g in range(crops[1]):
            if torch.rand(()) < 0.5:
                _hide(hidden[image, g], float(torch.empty(()).uniform_(LEAST_HIDDEN, most)))
    return hidden.flatten(2)


def _hide(hidden: Bool[Tensor, "h w"], share: float) -> None:
    rows, columns = hidden.shape
    wanted = share * rows * columns
    for _ in range(20):
        left = wanted - float(hidden.sum())
        if left < 1:
            return
        area = max(4.0, float(torch.empty(()).uniform_(0.3, 1.0)) * left)
        aspect = float(torch.empty(()).uniform_(-1.2, 1.2).exp())
        height = min(rows, max(1, round((area * aspect) ** 0.5)))
        width = min(columns, max(1, round((area / aspect) ** 0.5)))
        top, start = (int(torch.randint(n - s + 1, ())) for n, s in ((rows, height), (columns, width)))
        hidden[top : top + height, start : start + width] = True


def paint(
    images: UInt8[Tensor, "B 3 H W"], hidden: Bool[Tensor, "B N"], backbone: Backbone
) -> UInt8[Tensor, "B 3 H W"]:
    """Paint hidden patches in the mean colour of the backbone."""
    rows, columns = backbone.spec.patch
    grid = (images.shape[2] // rows, images.shape[3] // columns)
    pixels = hidden.unflatten(1, grid).repeat_interleave(rows, 1).repeat_interleave(columns, 2)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return torch.where(pixels[:, None], backbone.mean.round().to(torch.uint8), images)
