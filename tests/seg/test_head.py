"""The EoMT head equals transformers' modules; the picked head starts as its proposals say."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import EomtConfig
from transformers.models.eomt import modeling_eomt

from mtvit_core.backbones.features import Features, LayerFeatures
from mtvit_core.backbones.tokens import Pick
from mtvit_core.structures.boxes import cxcywh_to_xyxy
from mtvit_seg.head import MaskHead, PickedHead, SegPredictions
from mtvit_seg.mask_prior import SHAPE, box_prior, shape_axis, shape_logits
from mtvit_seg.upscale import doublings
from support.tasks.seg_cases import SPEC, task, tiny_model

CONFIG = EomtConfig(hidden_size=24, num_attention_heads=2, num_upscale_blocks=2, num_labels=3)


def features(layers: dict[int, tuple[Tensor, Tensor]], pick: Pick | None = None) -> Features:
    """Queries and patches by depth."""
    made = {
        i: LayerFeatures(patches, torch.zeros(len(patches), 1, SPEC.width), {"seg": queries})
        for i, (queries, patches) in layers.items()
    }
    return Features(made, SPEC.depth, {} if pick is None else {"seg": pick}, SPEC.canvas)


def eomt_head() -> MaskHead:
    head = task(variant="eomt", blocks=2).head(SPEC)
    assert isinstance(head, MaskHead)
    return head


def test_head_has_the_published_keys() -> None:
    keys = {f"mask_head.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")}
    keys |= {"class_head.weight", "class_head.bias", "attn_mask_probs"}
    parts = ("conv1.weight", "conv1.bias", "conv2.weight", "norm.weight", "norm.bias")
    keys |= {f"upscale.{i}.{part}" for i in (0, 1) for part in parts}
    assert set(eomt_head().state_dict()) == keys


def test_head_equals_transformers() -> None:
    head = eomt_head()
    scale, perceptron = modeling_eomt.EomtScaleBlock(CONFIG), modeling_eomt.EomtMaskHead(CONFIG)
    names = {"norm": "layernorm2d"}
    for ours, theirs in zip(head.upscale, scale.block, strict=True):
        for name in ("conv1", "conv2", "norm"):
            theirs.get_submodule(names.get(name, name)).load_state_dict(ours.get_submodule(name).state_dict())
    for ours, theirs in zip((0, 2, 4), ("fc1", "fc2", "fc3"), strict=True):
        perceptron.get_submodule(theirs).load_state_dict(head.mask_head[ours].state_dict())
    queries, patches = torch.randn(2, 7, 24), torch.randn(2, 24, 4, 6)
    expected = torch.einsum("bqc, bchw -> bqhw", perceptron(queries), scale(patches))
    found = head(features({SPEC.depth: (queries, patches)}))
    assert found.mask_logits.shape == (1, 2, 7, 16, 24)
    torch.testing.assert_close(found.mask_logits[0], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found.logits[0], F.linear(queries, head.class_head.weight, head.class_head.bias)
    )


def test_every_depth_at_hand_is_predicted_alike() -> None:
    head = eomt_head()
    layers = {i: (torch.randn(2, 7, 24), torch.randn(2, 24, 4, 6)) for i in (3, 4, 5)}
    together = head(features(layers))
    assert together.logits.shape[0] == 3
    for row, (queries, patches) in enumerate(layers.values()):
        alone = head(features({5: (queries, patches)}))
        torch.testing.assert_close(together.mask_logits[row], alone.mask_logits[0])
        torch.testing.assert_close(together.logits[row], alone.logits[0])


def test_query_mask_is_the_resized_mask_above_zero() -> None:
    head = eomt_head()
    queries, patches = torch.randn(2, 7, 24), torch.randn(2, 24, 4, 6)
    logits = head(features({5: (queries, patches)})).mask_logits[0]
    expected = F.interpolate(logits, size=(4, 6), mode="bilinear").flatten(2) > 0
    found = head.query_mask(3, queries, patches)
    assert found is not None
    assert not found.requires_grad
    assert torch.equal(found, expected)
    assert 0 < found.float().mean() < 1


def test_query_mask_frees_queries_at_random_and_then_all() -> None:
    head = eomt_head()
    queries, patches = torch.randn(2, 7, 24), torch.randn(2, 24, 4, 6)
    inside = head.query_mask(4, queries, patches)
    head.attn_mask_probs[1] = 0.4
    torch.manual_seed(5)
    found = head.query_mask(4, queries, patches)
    torch.manual_seed(5)
    free = torch.rand(2, 7) > 0.4
    assert found is not None
    assert inside is not None
    assert found[free].all()
    assert torch.equal(found[~free], inside[~free])
    assert 0 < int(free.sum()) < 14
    head.attn_mask_probs[1] = 0.0
    assert head.query_mask(4, queries, patches) is None


@pytest.mark.parametrize(("patch", "expected"), [(8, 1), (14, 1), (16, 2), (32, 3)])
def test_upscaling_reaches_a_stride_of_about_four_pixels(patch: int, expected: int) -> None:
    assert doublings((patch, patch)) == expected


def test_prior_is_positive_in_the_ellipse_that_touches_the_box() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.25], [0.25, 0.75, 0.1, 0.4]])
    found = box_prior(torch.zeros(1, 1, 2, SHAPE**2), boxes[None, None], (40, 80), 2.0)[0, 0]
    y, x = torch.meshgrid((torch.arange(40) + 0.5) / 40, (torch.arange(80) + 0.5) / 80, indexing="ij")
    for logits, (cx, cy, w, h) in zip(found, boxes.tolist(), strict=True):
        u, v = (2 * (x - cx) / w).clamp(-3, 3), (2 * (y - cy) / h).clamp(-3, 3)
        torch.testing.assert_close(logits, 2 * (1 - u**2 - v**2), atol=1e-4, rtol=1e-4)


def test_prior_interpolates_what_the_reader_says_of_the_cells() -> None:
    cells = torch.randn(SHAPE, SHAPE)
    # A box of 14 x 28 pixels: a cell is one row high and two columns wide.
    box = torch.tensor([20 / 40, 13 / 20, 28 / 40, 14 / 20])
    found = box_prior(cells.view(1, 1, 1, -1), box.view(1, 1, 1, 4), (20, 40), 0.0)[0, 0, 0]
    inside = found[6:20, 6:34]
    torch.testing.assert_close(inside[:, 0], cells[:, 0])
    torch.testing.assert_close(inside[:, 1], 0.75 * cells[:, 0] + 0.25 * cells[:, 1])
    torch.testing.assert_close(inside[:, 2], 0.25 * cells[:, 0] + 0.75 * cells[:, 1])
    # Outside the box, its border goes on.
    torch.testing.assert_close(found[:6, 6:34], inside[:1].expand(6, -1))
    torch.testing.assert_close(found[6:, 34:], inside[:, -1:].expand(-1, 6))


def test_logits_of_the_cells_are_those_of_the_prior_at_their_centres() -> None:
    shapes = torch.randn(1, 1, 1, SHAPE**2)
    whole = torch.tensor([0.5, 0.5, 1.0, 1.0]).view(1, 1, 1, 4)
    on_map = box_prior(shapes, whole, (SHAPE, SHAPE), 2.0).flatten(3)
    torch.testing.assert_close(shape_logits(shapes, 2.0), on_map, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shape_axis(shapes)[[0, -1]], torch.tensor([-13 / 14, 13 / 14]))


def test_picked_head_starts_with_class_and_box_of_the_pick() -> None:
    head = task().head(SPEC)
    assert isinstance(head, PickedHead)
    pick = Pick.among(torch.randn(2, 24, 3), torch.rand(2, 24, 4), torch.randint(0, 24, (2, 7)))
    found: SegPredictions = head(features({5: (torch.randn(2, 7, 24), torch.randn(2, 24, 4, 6))}, pick))
    assert found.boxes is not None
    torch.testing.assert_close(found.logits[0], pick.picked_logits)
    torch.testing.assert_close(found.boxes[0], pick.picked_boxes)
    outside = found.mask_logits[0] > 0
    x0, y0, x1, y1 = (value[..., None, None] for value in cxcywh_to_xyxy(pick.picked_boxes).unbind(-1))
    y, x = ((torch.arange(n) + 0.5) / n for n in (16, 24))
    within = (y[:, None] > y0) & (y[:, None] < y1) & (x > x0) & (x < x1)
    assert outside.any()
    assert not (outside & ~within).any()


@pytest.mark.parametrize(("variant", "layers"), [("eomt", (1, 2, 3, 4)), ("picked", (2, 3, 4))])
def test_training_supervises_every_depth_and_evaluation_reads_one(
    variant: str, layers: tuple[int, ...]
) -> None:
    model = tiny_model(variant=variant, blocks=3)
    images = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    assert model.train()(images)["seg"].logits.shape[0] == len(layers)
    assert model.eval()(images)["seg"].logits.shape[0] == 1
    assert model.modules_of("seg").groups[0].layers == layers


def test_masked_attention_changes_training_outputs_only() -> None:
    model = tiny_model(variant="eomt", blocks=2)
    images = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    masked = model.train()(images)["seg"]
    model.progress(1.0)
    free = model(images)["seg"]
    evaluated = model.eval()(images)["seg"]
    torch.testing.assert_close(masked.logits[0], free.logits[0])
    assert (masked.logits[-1] - free.logits[-1]).abs().max() > 1e-4
    torch.testing.assert_close(free.logits[-1], evaluated.logits[-1], atol=1e-5, rtol=1e-5)
