"""Maps of an image as pictures: one colour per category, grey values or colours of channels."""

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from mtvit_core.arguments import require
from mtvit_core.drawing.palette import Colour, class_colour
from mtvit_core.errors import DataError
from mtvit_core.structures.pixel_maps import VOID, CategoryMap, DenseMap, PixelMap

#: Pixels that belong to no category, and numbers that are not known.
_NOTHING: Colour = (24, 24, 28)
#: Share of the image that shines through a category's colour.
_GROUND = 0.45


def draw_map(values: PixelMap, image: UInt8[Tensor, "3 H W"] | None = None) -> Image.Image:
    """Draw a map as a picture of the image's size.

    Args:
        values: One channel becomes grey, near its least value dark; three channels in [-1, 1] become colours;
            of any other number the first is drawn. Categories get their colours, segments an outline.
        image: The original, which shines through categories; None for flat colours.
    """
    require("draw_map: values", values, (DenseMap, CategoryMap), "a map, as result.maps['seg']", DataError)
    if isinstance(values, DenseMap):
        return Image.fromarray(_dense(values))
    return Image.fromarray(_categories(values, image))


def _dense(values: DenseMap) -> UInt8[ndarray, "H W 3"]:
    planes = values.values.float().numpy(force=True)
    if len(planes) == 3:
        return np.asarray(np.nan_to_num((planes.transpose(1, 2, 0) + 1) / 2).clip(0, 1) * 255, np.uint8)
    grey = _between_extremes(planes[0])
    picture = np.repeat((255 * grey)[..., None], 3, 2).astype(np.uint8)
    picture[np.isnan(planes[0])] = _NOTHING
    return picture


def _between_extremes(plane: Float[ndarray, "H W"]) -> Float[ndarray, "H W"]:
    known = plane[np.isfinite(plane)]
    if not known.size:
        return np.zeros_like(plane)
    least, most = float(known.min()), float(known.max())
    return np.asarray(np.nan_to_num((plane - least) / max(most - least, 1e-12)).clip(0, 1))


def _categories(values: CategoryMap, image: UInt8[Tensor, "3 H W"] | None) -> UInt8[ndarray, "H W 3"]:
    ids = values.category_ids.numpy(force=True)
    picture = np.full((*ids.shape, 3), _NOTHING, np.uint8)
    for id_ in np.unique(ids):
        if id_ != VOID:
            picture[ids == id_] = class_colour(values.categories.label_of_id[int(id_)])
    if image is not None:
        ground = image.permute(1, 2, 0).float().numpy(force=True)
        picture = (_GROUND * ground + (1 - _GROUND) * picture).astype(np.uint8)
    regions = values.category_ids if values.segment_ids is None else values.segment_ids
    picture[_edges(regions.numpy(force=True))] = (255, 255, 255)
    return picture


def _edges(regions: Int64[ndarray, "H W"]) -> Bool[ndarray, "H W"]:
    """Pixels whose right or lower neighbour is of another region."""
    edge = np.zeros(regions.shape, bool)
    edge[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    edge[:-1] |= regions[:-1] != regions[1:]
    return edge
