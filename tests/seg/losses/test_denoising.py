"""Classes and shapes learned from boxes near the truth."""

import torch
from torch.nn import functional as F

from mtvit_core.heads.roi_cascade import BoundCascade, RoICascade
from mtvit_seg.config import SegConfig
from mtvit_seg.losses.denoising import masks_in, noised_losses
from mtvit_seg.losses.targets import SegTargets, make_targets
from mtvit_seg.mask_prior import SHAPE
from support.tasks.seg_cases import annotate


def test_masks_near_the_truth_are_read_at_the_cells_of_each_box() -> None:
    masks = torch.zeros(2, 56, 112, dtype=torch.bool)
    masks[0, 14:28, 28:56], masks[1, :, 100:] = True, True
    exact, around = [42 / 112, 21 / 56, 28 / 112, 14 / 56], [42 / 112, 21 / 56, 56 / 112, 28 / 56]
    outside = [1.0, 0.5, 24 / 112, 1.0]  # its right half lies off the canvas
    boxes = torch.tensor([[[exact, around], [outside, outside]]])
    found = masks_in(masks, boxes).view(1, 2, 2, SHAPE, SHAPE)
    assert found[0, 0, 0].all()
    middle = torch.zeros(SHAPE, SHAPE, dtype=torch.bool)
    middle[4:10, 4:10] = True  # cells of 2 x 4 pixels; the edge of the mask cuts the third and the tenth
    assert found[0, 0, 1][middle].all()
    assert not found[0, 0, 1][:3].any()
    assert not found[0, 0, 1][:, 11:].any()
    assert found[0, 1, 0, :, :7].all()
    assert not found[0, 1, 0, :, 7:].any()


def test_a_reader_learns_shapes_from_noised_boxes_alone() -> None:
    torch.manual_seed(0)
    reader = RoICascade(8, 1 + SHAPE * SHAPE)
    optimizer = torch.optim.Adam(reader.parameters(), 3e-3)
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")

    def triangles() -> tuple[torch.Tensor, SegTargets]:
        # Half of the square below its diagonal: an ellipse is far off.
        corners = torch.randint(2, 24, (8, 2)).tolist()
        inside = [(x >= a) & (y < b + 20) & (x - a <= y - b) for a, b in corners]
        maps = torch.zeros(8, 8, 12, 12)
        for one, shape in zip(maps, inside, strict=True):
            one[:4] = F.avg_pool2d(shape[None].float(), 4)
        return maps, make_targets([annotate(m[None], [0]) for m in inside], (48, 48), torch.device("cpu"), 1)

    first = None
    for _ in range(60):
        maps, targets = triangles()
        terms = noised_losses(BoundCascade(reader, (maps,)), targets, SegConfig())
        optimizer.zero_grad()
        sum(terms.values(), torch.tensor(0.0)).backward()
        optimizer.step()
        first = terms["denoising_mask"].item() if first is None else first
    with torch.no_grad():
        maps, targets = triangles()
        last = noised_losses(BoundCascade(reader, (maps,)), targets, SegConfig())["denoising_mask"].item()
    assert last < 0.5 * first
