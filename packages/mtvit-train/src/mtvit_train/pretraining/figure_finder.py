"""Finding pasted figures, to teach a backbone from images without labels (after Remez et al. 2018).

Every patch says which of its cells show a figure and which a joint. A patch on a figure also says the box of
the figure, its outline inside that box, the spectrum of this outline, and whether it has limbs:

    L = 4 BCE(cells) + 4 BCE(joints) + [2 (1 - GIoU) + 5 L1](box) + 3 BCE(outline) + 3 L1_smooth(spectrum)
        + 0.5 BCE(limbed)

Cells, joints and box make a backbone find; outline and spectrum make it tell shapes apart.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError
from mtvit_core.heads.mlp import MLP
from mtvit_core.heads.proposals import anchors
from mtvit_core.structures.boxes import apply_deltas, cxcywh_to_xyxy, generalized_box_iou, xyxy_to_cxcywh
from mtvit_train.pretraining.composition import FIGURES, Composition
from mtvit_train.pretraining.composition_views import shown_again
from mtvit_train.pretraining.outline import SPECTRUM
from mtvit_train.pretraining.pretext import Crops, Pretext

#: Pixels of an image that share one decision, along one side.
STRIDE = 4
#: Cells along one side of a figure's box in which its outline is told.
RASTER = 12
#: Joints are rare: how much more than the other cells theirs weigh.
JOINT_WEIGHT = 5.0


class FigureFinder(Pretext):
    """A backbone, and light heads that are thrown away after training."""

    name: ClassVar[str] = "figures"

    def __init__(self, backbone: Backbone) -> None:
        """Build the heads.

        Args:
            backbone: The backbone; its canvas is the size of the training images.

        Raises:
            ConfigError: the canvas is not square, or patches are no multiple of ``STRIDE``.
        """
        super().__init__(backbone)
        width, (rows, columns) = backbone.spec.width, backbone.spec.patch
        height, breadth = backbone.spec.canvas
        if height != breadth or rows % STRIDE or columns % STRIDE:
            raise ConfigError(
                f"backbone {backbone.name!r}: figures are drawn on square canvases in cells of {STRIDE} "
                f"pixels, but the canvas is {height} x {breadth} and a patch {rows} x {columns}; set "
                "model.image_size and the patch accordingly, or take --method distill."
            )
        cells = (rows // STRIDE) * (columns // STRIDE)
        self.mask, self.joint = nn.Linear(width, cells), nn.Linear(width, cells)
        self.box = MLP(width, width, 4, layers=2, zero_last=True)
        self.outline = MLP(width, width, RASTER * RASTER, layers=2)
        self.spectrum = MLP(width, width, SPECTRUM, layers=2)
        self.limbed = nn.Linear(width, 1)

    def terms(self, crops: Crops, lessons: Mapping[str, Any]) -> dict[str, Float[Tensor, ""]]:
        """Return the loss on compositions whose surfaces come from the crops."""
        return {"all": self(shown_again(crops.large[:, 0].cpu(), len(crops)).to(self.device))}

    def forward(self, batch: Composition) -> Float[Tensor, ""]:
        """Return the loss of a batch of compositions."""
        patches = self.backbone(batch.images).last.patches
        tokens = patches.flatten(2).transpose(1, 2)
        cells = by_patch(
            batch.owner[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE], self.backbone.spec.grid
        )
        image, patch, figure = owners(cells)
        corners = figure_boxes(batch.owner)
        loss = 4 * F.binary_cross_entropy_with_logits(self.mask(tokens), (cells > 0).to(tokens.dtype))
        loss = loss + 4 * self._joint_loss(tokens, batch, cells)
        if not len(image):
            return loss
        on_figure, of = tokens[image, patch], (image, figure)
        grid = (patches.shape[2], patches.shape[3])
        loss = loss + self._box_loss(on_figure, anchors(grid, tokens)[patch], corners[of])
        outline = F.binary_cross_entropy_with_logits(
            self.outline(on_figure), rasters(batch.owner, corners)[of].to(tokens.dtype)
        )
        limbed = batch.limbed[of].to(tokens.dtype)
        error = F.smooth_l1_loss(self.spectrum(on_figure), batch.spectrum[of], beta=0.1, reduction="none")
        spectrum = (error.mean(-1) * (1 - limbed)).sum() / (1 - limbed).sum().clamp(min=1)
        kind = F.binary_cross_entropy_with_logits(self.limbed(on_figure)[:, 0], limbed)
        return loss + 3 * outline + 3 * spectrum + 0.5 * kind

    def _joint_loss(
        self, tokens: Float[Tensor, "B N D"], batch: Composition, cells: UInt8[Tensor, "B N P"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of "a joint lies in this cell"."""
        side = batch.owner.shape[-1] // STRIDE
        joints = batch.joints.flatten(1, 2)
        place = (joints * side).floor().long()
        known = ((place >= 0) & (place < side)).all(-1)
        image = torch.arange(len(batch), device=place.device)[:, None].expand_as(known)[known]
        truth = torch.zeros(len(batch), side, side, dtype=tokens.dtype, device=tokens.device)
        truth[image, place[known][:, 1], place[known][:, 0]] = 1
        weight = torch.tensor(JOINT_WEIGHT, device=tokens.device)
        truth = by_patch(truth, self.backbone.spec.grid)
        return F.binary_cross_entropy_with_logits(self.joint(tokens), truth, pos_weight=weight)

    def _box_loss(self, tokens: Tensor, anchor: Tensor, corners: Tensor) -> Float[Tensor, ""]:
        """Box terms of patches on figures, of S tokens S D, their anchors S 4 and true corners S 4."""
        boxes, wanted = apply_deltas(anchor, self.box(tokens)), xyxy_to_cxcywh(corners)
        overlap = generalized_box_iou(cxcywh_to_xyxy(boxes), corners)
        return (2 * (1 - overlap) + 5 * (boxes - wanted).abs().sum(-1)).mean()


def by_patch(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Group a map of cells B H W by the patches they lie in: B N P."""
    images, height, width = cells.shape
    rows, columns = height // grid[0], width // grid[1]
    cut = cells.view(images, grid[0], rows, grid[1], columns).transpose(2, 3)
    return cut.reshape(images, grid[0] * grid[1], rows * columns)


def owners(cells: UInt8[Tensor, "B N P"]) -> tuple[Tensor, Tensor, Tensor]:
    """Image, patch and figure (from 0) of every patch that has a quarter of its cells or more on figures."""
    counts = torch.stack([(cells == figure).sum(-1) for figure in range(1, FIGURES + 1)], -1)
    image, patch = (counts.sum(-1) >= max(1, cells.shape[-1] // 4)).nonzero(as_tuple=True)
    return image, patch, counts[image, patch].argmax(-1)


def figure_boxes(owner: UInt8[Tensor, "B H W"]) -> Float[Tensor, "B M 4"]:
    """Tight boxes of the visible pixels of every figure, xyxy relative to the image; zeros where hidden."""
    boxes = torch.zeros(owner.shape[0], FIGURES, 4, device=owner.device)
    height, width = owner.shape[1:]
    for figure in range(FIGURES):
        seen = owner == figure + 1
        for axis, (low, high), length in ((2, (1, 3), height), (1, (0, 2), width)):
            line = seen.any(axis).int()
            boxes[:, figure, low] = line.argmax(1) / length
            boxes[:, figure, high] = (length - line.flip(1).argmax(1)) / length
        boxes[:, figure] *= seen.flatten(1).any(1)[:, None]
    return boxes


def rasters(owner: UInt8[Tensor, "B H W"], boxes: Float[Tensor, "B M 4"]) -> Bool[Tensor, "B M P"]:
    """Which of ``RASTER`` x ``RASTER`` points of each figure's box show the figure, row-major."""
    size = owner.shape[-1]
    share = (torch.arange(RASTER, device=owner.device) + 0.5) / RASTER
    low, span = boxes[..., :2, None], (boxes[..., 2:] - boxes[..., :2])[..., None]
    places = ((low + span * share) * size).long().clamp(0, size - 1)  # B M 2 RASTER
    image = torch.arange(len(owner), device=owner.device)[:, None, None, None]
    seen = owner[image, places[:, :, 1, :, None], places[:, :, 0, None, :]]
    return (seen == torch.arange(1, FIGURES + 1, device=owner.device)[:, None, None]).flatten(2)
