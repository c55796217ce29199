"""A block as the thesis codes it, against its formula written out."""

import torch

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.crossvit.bare import BareBlock
from mtvit_core.model.backbone import create_backbone


def test_heads_share_their_weights_and_logits_are_divided_by_the_root_of_the_width() -> None:
    torch.manual_seed(0)
    block, x = BareBlock(8, 2), torch.randn(1, 5, 8)
    heads = []
    for part in x[0].chunk(2, 1):
        q, k, v = block.query(part), block.key(part), block.value(part)
        heads.append((q @ k.T / 8**0.5).softmax(1) @ v)
    torch.testing.assert_close(block(x)[0], block.proj(torch.cat(heads, 1)))
    torch.testing.assert_close(block.run(x, Layout(1, 5, ()), {}, 2), block(x)[:, 2:])


def test_branches_of_bare_blocks_without_exchange_tell_each_other_nothing() -> None:
    """Weights of the other branch get a gradient by the sum at the output alone."""
    options = {"widths": [16, 16], "heads": [2, 2], "stages": 1, "depths": [2, 2], "read": "small",
               "exchange": "none", "blocks": "bare", "join": True}  # fmt: skip
    backbone = create_backbone("crossvit:custom", (32, 64), options=options)
    image = torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8)
    found = backbone(image, depths=[1])
    (found.inner[1].sum() + found.class_tokens[0].sum()).backward(retain_graph=True)
    assert backbone.embeddings[1].stem.weight.grad is None
    found.last.patches.sum().backward()
    assert backbone.embeddings[1].stem.weight.grad is not None
