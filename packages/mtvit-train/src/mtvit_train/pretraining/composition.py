"""Compositions: one to four random figures pasted onto a surface, with all that is known of them."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from mtvit_train.pretraining.limbs import BARS, draw_figures
from mtvit_train.pretraining.outline import SPECTRUM, draw_outlines
from mtvit_train.pretraining.surface import BACKGROUND, FILLING, draw_surfaces

#: Most figures of an image; the first is always there, each further one with probability 0.65.
FIGURES = 4
#: Share of the figures that have limbs.
LIMBED = 0.3


@dataclass(frozen=True)
class Composition:
    """Images with figures; M is ``FIGURES``.

    Attributes:
        images: The pixels.
        owner: Figure that each pixel shows, from 1; 0 for the background.
        spectrum: Description of each figure's outline, see ``outline``.
        limbed: Which figures have limbs, and so no spectrum.
        joints: Their joints relative to the image; -1 where there is none.
    """

    images: UInt8[Tensor, "B 3 H W"]
    owner: UInt8[Tensor, "B H W"]
    spectrum: Float[Tensor, "B M O"]
    limbed: Bool[Tensor, "B M"]
    joints: Float[Tensor, "B M K 2"]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def to(self, device: torch.device) -> "Composition":
        """Return the same on a device."""
        return Composition(*(getattr(self, field.name).to(device) for field in fields(self)))

    def take(self, index: Tensor) -> "Composition":
        """Return the chosen images."""
        return Composition(*(getattr(self, field.name)[index] for field in fields(self)))


def compose(source: UInt8[Tensor, "I 3 H W"], count: int) -> Composition:
    """Draw compositions whose surfaces come from unlabelled images.

    Args:
        source: The images, square.
        count: Compositions B.
    """
    size = source.shape[-1]
    images = draw_surfaces(source, count, BACKGROUND)
    owner = torch.zeros(count, size, size, dtype=torch.uint8)
    limbed = torch.rand(count, FIGURES) < LIMBED
    spectrum = torch.zeros(count, FIGURES, SPECTRUM)
    joints = torch.full((count, FIGURES, BARS + 1, 2), -1.0)
    for figure in range(FIGURES):
        filling = _faded(draw_surfaces(source, count, FILLING))
        mask = torch.zeros(count, size, size, dtype=torch.bool)
        with_limbs, without = limbed[:, figure].nonzero()[:, 0], (~limbed[:, figure]).nonzero()[:, 0]
        outlines = draw_outlines(len(without), size)
        mask[without], spectrum[without, figure] = outlines.inside, outlines.spectrum
        darker = outlines.rim & (torch.rand(len(without), 1, 1) < 0.5)
        filling[without] *= torch.where(darker, 0.6, 1.0)[:, None]
        limbs = draw_figures(len(with_limbs), size)
        mask[with_limbs] = limbs.bar > 0
        filling[with_limbs] = _painted(filling[with_limbs], limbs.bar)
        there = torch.rand(count) < (1.0 if figure == 0 else 0.65)
        joints[with_limbs, figure] = torch.where(there[with_limbs, None, None], limbs.joints, -1.0)
        mask &= there[:, None, None]
        images, owner = torch.where(mask[:, None], filling, images), owner.masked_fill(mask, figure + 1)
    noise = torch.randn_like(images) * (9 * torch.rand(count, 1, 1, 1))
    images = images * torch.empty(count, 1, 1, 1).uniform_(0.8, 1.1) + noise
    return Composition(images.round().clamp(0, 255).to(torch.uint8), owner, spectrum, limbed, joints)


def _faded(surface: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Fade more than half of the surfaces towards one colour."""
    count = len(surface)
    share = torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.6)
    return surface * (1 - share) + 255 * torch.rand(count, 3, 1, 1) * share


def _painted(surface: Float[Tensor, "B 3 H W"], bar: Int64[Tensor, "B H W"]) -> Float[Tensor, "B 3 H W"]:
    """Paint every bar in one colour, half of them in that of the bar before, over a trace of texture."""
    count = len(surface)
    own = 255 * torch.rand(count, BARS, 3)
    same = torch.rand(count, BARS, 1) < 0.5
    colours = [own[:, 0]]
    for j in range(1, BARS):
        colours.append(torch.where(same[:, j], colours[-1], own[:, j]))
    table = torch.cat([torch.zeros(count, 1, 3), torch.stack(colours, 1)], 1)
    paint = table.gather(1, bar.flatten(1)[..., None].expand(-1, -1, 3)).transpose(1, 2).view_as(surface)
    share = 0.6 * torch.rand(count, 1, 1, 1)
    return surface * share + paint * (1 - share)
