"""Examples and results seen in a mirror: left becomes right, and a left hand a right one."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.structures.annotations import Annotations, mirror_map, swap_sides
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.instances import Instances


@dataclass(frozen=True)
class Mirror:
    """What a mirror makes of coordinates: x becomes the width less x, less an edge.

    Attributes:
        point_edge: 0 where points are continuous, 1 where they count in pixel centres, as on person crops.
        box_edge: The same of the corners of boxes.
    """

    point_edge: int = 0
    box_edge: int = 0

    @classmethod
    def of_crops(cls, rule: CropRule) -> "Mirror":
        """Return the mirror for person crops; boxes of ``centred`` ones hold their last pixel."""
        return cls(point_edge=1, box_edge=0 if rule == "centred" else 1)

    def boxes(self, boxes: Float[Tensor, "M 4"], width: int) -> Float[Tensor, "M 4"]:
        """Return corners x0 y0 x1 y1 of the mirrored boxes."""
        x0, y0, x1, y1 = boxes.unbind(1)
        across = width - self.box_edge
        return torch.stack([across - x1, y0, across - x0, y1], 1)

    def points(self, points: Float[Tensor, "M K 3"], width: int) -> Float[Tensor, "M K 3"]:
        """Return the mirrored places; the third number stays."""
        return torch.cat([width - self.point_edge - points[..., :1], points[..., 1:]], -1)

    def annotations(self, given: Annotations, categories: Categories, width: int) -> Annotations:
        """Return the annotations of the mirrored image."""
        masks, keypoints = given.masks, given.keypoints
        if keypoints is not None:
            known = keypoints[..., 2:] > 0
            keypoints = swap_sides(self.points(keypoints, width) * known, given.labels, categories)
        return replace(
            given,
            boxes=self.boxes(given.boxes, width),
            masks=None if masks is None else masks.flip(-1),
            keypoints=keypoints,
            maps={name: mirror_map(values) for name, values in given.maps.items()},
        )

    def keypoints(self, found: Instances) -> Float[Tensor, "M K 3"]:
        """Return the keypoints of a result as they are in the mirrored image, left and right swapped."""
        return swap_sides(self.points(found.keypoints, found.width), found.labels, found.categories)
