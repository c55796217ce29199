"""Finding pasted blobs, to teach a backbone from images without labels (after Remez et al. 2018).

paste    blobs r(t) = r_0 (1 + sum_k a_k cos(k t + f_k)), filled from one image, onto a crop of another
find     per patch: which of its pixels are pasted, and the box of the blob it belongs to
L        = BCE(mask) + 2 (1 - GIoU) + 5 L1 over patches on a blob
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbone import Backbone
from mtvit_core.boxes import apply_deltas, cxcywh_to_xyxy, generalized_box_iou, xyxy_to_cxcywh
from mtvit_core.mlp import MLP
from mtvit_core.proposals import anchors

#: Pixels of an image that share one decision, along one side.
STRIDE = 4
#: Most blobs of an image; one fewer with probability 1/2, and so on down to one.
BLOBS = 4


@dataclass(frozen=True)
class Pasted:
    """Images with blobs, and where these are.

    Attributes:
        images: The compositions.
        owner: Blob that each pixel shows, 0 for the background.
    """

    images: UInt8[Tensor, "B 3 H W"]
    owner: Int64[Tensor, "B H W"]


def blob_masks(count: int, size: int) -> Float[Tensor, "B H W"]:
    """Draw one random blob per image, its longer side 1/8 to 1/2 of the image: 1 inside, 0 outside."""
    radius = torch.empty(count, 1, 1).uniform_(1 / 14, 1 / 4)
    centre = torch.empty(2, count, 1, 1).uniform_(0.1, 0.9)
    axis = (torch.arange(size) + 0.5) / size
    x, y = axis[None, None, :] - centre[0], axis[None, :, None] - centre[1]
    squeeze = torch.empty(count, 1, 1).uniform_(0.5, 1.0)
    turn = torch.rand(count, 1, 1) * math.pi
    u, v = x * turn.cos() + y * turn.sin(), (y * turn.cos() - x * turn.sin()) / squeeze
    angle, distance = torch.atan2(v, u), (u.square() + v.square()).sqrt()
    limit = torch.ones(count, size, size)
    for k in range(2, 7):
        limit += (
            torch.randn(count, 1, 1) * (0.5 / k) * (k * angle + torch.rand(count, 1, 1) * 2 * math.pi).cos()
        )
    ring = torch.where(torch.rand(count, 1, 1) < 0.15, 0.55, 0.0)  # some blobs have a hole
    share = distance / (radius * limit.clamp(0.25, 1.6))
    return ((share < 1) & (share >= ring)).float()


def paste(scenes: UInt8[Tensor, "M 3 H W"], count: int) -> Pasted:
    """Compose images: each a magnified crop of a scene with one to ``BLOBS`` blobs cut from other scenes."""
    size = scenes.shape[-1]
    images = _texture(scenes, count, low=0.25, high=0.6)
    owner = torch.zeros(count, size, size, dtype=torch.int64)
    for blob in range(1, BLOBS + 1):
        mask = blob_masks(count, size) * (torch.rand(count, 1, 1) < (1.0 if blob == 1 else 0.6))
        filling = _texture(scenes, count, low=0.15, high=0.5)
        shade = 1 - 0.25 * torch.rand(count, 1, 1, 1)
        images = torch.where(mask[:, None] > 0, filling * shade, images)
        owner = torch.where(mask > 0, blob, owner)
    return Pasted(images.round().clamp(0, 255).to(torch.uint8), owner)


def _texture(
    scenes: UInt8[Tensor, "M 3 H W"], count: int, low: float, high: float
) -> Float[Tensor, "B 3 H W"]:
    """Random square windows of random scenes, magnified to the full size, with shifted colours."""
    size = scenes.shape[-1]
    chosen = scenes[torch.randint(len(scenes), (count,))].float()
    scale = torch.empty(count).uniform_(low, high)
    shift = (1 - scale[:, None]) * torch.empty(count, 2).uniform_(-1, 1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    window = F.grid_sample(chosen, grid, padding_mode="reflection", align_corners=False)
    gain = torch.empty(count, 3, 1, 1).uniform_(0.7, 1.3)
    return window * gain + torch.empty(count, 3, 1, 1).uniform_(-40, 40)


class BlobFinder(nn.Module):
    """A backbone, and two light heads that are thrown away after training."""

    def __init__(self, encoder: Backbone) -> None:
        """Build the heads.

        Args:
            encoder: The backbone that learns.
        """
        super().__init__()
        self.encoder = encoder
        width, (rows, columns) = encoder.spec.width, encoder.spec.patch
        self.mask = nn.Linear(width, (rows // STRIDE) * (columns // STRIDE))
        self.box = MLP(width, width, 4, layers=2, zero_last=True)

    def sample(self, scenes: UInt8[Tensor, "M 3 H W"], count: int) -> Pasted:
        """Compose images."""
        return paste(scenes, count)

    def forward(self, pasted: Pasted) -> Float[Tensor, ""]:
        """Return the loss of a batch of compositions."""
        patches = self.encoder(pasted.images).last.patches
        tokens = patches.flatten(2).transpose(1, 2)
        cells = _cells(pasted.owner, self.encoder.spec.patch)
        mask = F.binary_cross_entropy_with_logits(self.mask(tokens), (cells > 0).to(tokens.dtype))
        owner = cells.mode(-1).values
        truth = blob_boxes(pasted.owner)
        wanted = xyxy_to_cxcywh(truth.gather(1, (owner - 1).clamp(min=0)[..., None].expand(-1, -1, 4)))
        deltas = self.box(tokens)
        boxes = apply_deltas(anchors((patches.shape[2], patches.shape[3]), tokens).expand_as(deltas), deltas)
        overlap = generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(wanted))
        distance = (boxes - wanted).abs().sum(-1)
        on_blob = (owner > 0).to(tokens.dtype)
        box = (on_blob * (2 * (1 - overlap) + 5 * distance)).sum() / on_blob.sum().clamp(min=1)
        return 4 * mask + box


def _cells(owner: Int64[Tensor, "B H W"], patch: tuple[int, int]) -> Int64[Tensor, "B N P"]:
    """Owner at the middle of every cell of ``STRIDE`` pixels, grouped by patch."""
    coarse = owner[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    rows, columns = patch[0] // STRIDE, patch[1] // STRIDE
    images, height, width = coarse.shape
    cut = coarse.view(images, height // rows, rows, width // columns, columns)
    return cut.transpose(2, 3).reshape(images, -1, rows * columns)


def blob_boxes(owner: Int64[Tensor, "B H W"]) -> Float[Tensor, "B M 4"]:
    """Tight boxes of the visible pixels of every blob, xyxy relative to the image; zeros where hidden."""
    boxes = torch.zeros(owner.shape[0], BLOBS, 4, device=owner.device)
    height, width = owner.shape[1:]
    for blob in range(BLOBS):
        seen = owner == blob + 1
        for axis, (low, high), length in ((2, (1, 3), height), (1, (0, 2), width)):
            line = seen.any(axis).int()
            boxes[:, blob, low] = line.argmax(1) / length
            boxes[:, blob, high] = (length - line.flip(1).argmax(1)) / length
        boxes[:, blob] *= seen.flatten(1).any(1)[:, None]
    return boxes
