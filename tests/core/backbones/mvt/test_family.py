"""A supernet of ViT-MVT's networks: candidates are its leading parts, batch norms among them."""

import numpy as np
import pytest
import torch

from mtvit_core.backbones.elastic.backbone import ElasticBackbone
from mtvit_core.backbones.interface import Backbone, Option
from mtvit_core.backbones.mvt.family import MvtFamily
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.model.backbone import create_backbone
from mtvit_core.testing.backbone_case import BackboneCase, learned, tensors

CANVAS = (64, 96)
SMALL: dict[str, Option] = {
    "width": 48,
    "block_heads": [2, 2, 2, 2],
    "block_ratios": [2.0] * 4,
    "heads": [1, 2],
    "depths": [3, 4],
}
WINDOWS: dict[str, Option] = {**SMALL, "window": 3, "aggregate": [1, 3], "se": "input", "drop_path_rate": 0.2}


def make(options: dict[str, Option]) -> ElasticBackbone:
    """A supernet with weights and statistics that are all random."""
    backbone = BackboneCase("elastic:mvt:custom", options, CANVAS).stirred()
    assert isinstance(backbone, ElasticBackbone)
    return backbone


def groups(backbone: Backbone) -> list[TokenGroup]:
    torch.manual_seed(5)
    return [learned(backbone, "a"), learned(backbone, "b", 2), learned(backbone, "j", 1, "joint")]


@pytest.mark.parametrize("options", [SMALL, WINDOWS], ids=["one window", "windows"])
@torch.no_grad()
def test_a_candidate_is_what_is_cut_out(options: dict[str, Option]) -> None:
    whole, images = make(options), BackboneCase("", {}, CANVAS).images()
    asked, rng = groups(whole), np.random.default_rng(0)
    for genome in (whole.space.smallest, *(whole.space.draw(rng) for _ in range(4))):
        whole.genome = genome
        cut = whole.cut_out(genome).eval()
        expected, found = tensors(whole(images, asked)), tensors(cut(images, asked))
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
        assert cut.spec == whole.spec
        alone = create_backbone(cut.name, CANVAS, options=cut.options)
        alone.load_state_dict(cut.state_dict())
        again = tensors(alone.eval()(images, asked))
        assert all(torch.equal(value, again[name]) for name, value in expected.items())
        if genome.width < 48:
            assert sum(v.numel() for v in cut.parameters()) < sum(v.numel() for v in whole.parameters())


def test_training_a_candidate_moves_leading_weights_and_statistics() -> None:
    found = []
    for checkpointing in (False, True):
        whole = make({**WINDOWS, "drop_path_rate": 0.0}).train()
        whole.genome, whole.checkpointing = whole.space.smallest, checkpointing
        before = {name: value.clone() for name, value in whole.named_buffers()}
        torch.manual_seed(1)
        whole(BackboneCase("", {}, CANVAS).images()).last.patches.square().mean().backward()
        mean = "largest.layers.3.aggregate.norm1.running_mean"
        moved = dict(whole.named_buffers())[mean] != before[mean]
        width = whole.space.smallest.width
        assert moved[:width].all()
        assert not moved[width:].any()
        found.append({n: p.grad for n, p in whole.named_parameters() if p.grad is not None})
        found[-1] |= {name: value for name, value in whole.named_buffers() if value.is_floating_point()}
    grad = found[0]["largest.layers.0.attention.qkv.weight"].view(3, 2, 64, 48)
    assert grad[:, :, :, :width].abs().amax() > 0
    assert not grad[..., width:].any()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value)


def test_the_spaces_are_those_that_were_searched() -> None:
    family = MvtFamily()
    space = family.space("mvt:small", {})
    assert space.largest.width == 448
    assert space.holds(space.smallest)
    counts = {model: family.space(f"mvt:{model}", {}).count for model in ("tiny", "small", "base")}
    assert counts == {"tiny": 3 * 6**14, "small": 3 * 9**14, "base": 3 * 6**16}
    own = family.space("mvt:custom", {"width": 48, "block_heads": [2, 0, 3], "block_ratios": [2.0, 9.0, 1.0]})
    assert (own.widths, own.heads, own.ratios) == ((32, 40, 48), (2, 3), (1.5, 1.75, 2.0))
