"""What patches of the same images hold over time: principal components, nearness, and attention."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def component_pictures(patches: Float[Tensor, "B D h w"], size: tuple[int, int]) -> list[Image.Image]:
    """Draw the first three principal components of the patches of some images as red, green and blue.

    The sign of a component is arbitrary; it is set so that patches near the centres are positive.

    Args:
        patches: Patches of the images, which share the components.
        size: Rows and columns of a picture.
    """
    images, width, rows, columns = patches.shape
    flat = patches.permute(0, 2, 3, 1).reshape(-1, width).double()
    centred = flat - flat.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    values = (centred @ axes[:3].T).view(images, rows, columns, -1)
    middle = values[:, rows // 4 : -(rows // 4) or None, columns // 4 : -(columns // 4) or None]
    values = values * torch.where(middle.mean((0, 1, 2)) < 0, -1.0, 1.0)
    scaled = torch.sigmoid(2 * values / values.flatten(0, 2).std(0).clamp(min=1e-9))
    if scaled.shape[-1] < 3:
        scaled = F.pad(scaled, (0, 3 - scaled.shape[-1]))
    return [_picture((255 * image).round().to(torch.uint8), size) for image in scaled]


def nearness_pictures(
    patches: Float[Tensor, "B D h w"], summaries: Float[Tensor, "B D"], size: tuple[int, int]
) -> list[Image.Image]:
    """Draw how near each patch is to what stands for its image, from black to white."""
    return _grey(F.cosine_similarity(patches, summaries[:, :, None, None], dim=1), size)


def attention_pictures(weights: Float[Tensor, "B A h w"], size: tuple[int, int]) -> list[Image.Image]:
    """Draw what the class token attends to in the last block, mean of all heads, from black to white."""
    return _grey(weights.mean(1), size)


def _grey(values: Float[Tensor, "B h w"], size: tuple[int, int]) -> list[Image.Image]:
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    grey = (255 * (values - low) / (high - low).clamp(min=1e-9)).round().to(torch.uint8)
    return [_picture(image[..., None].expand(-1, -1, 3), size) for image in grey]


def _picture(colours: UInt8[Tensor, "h w 3"], size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(colours.cpu().numpy()))
    return picture.resize((size[1], size[0]), Image.Resampling.NEAREST)
