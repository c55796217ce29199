"""Patches leave by their score, keep their last value, and nothing that is isolated changes."""

import pytest
import torch
from torch import nn

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone

DEPTH, AFTER, CANVAS = 4, 2, (64, 96)  # 24 patches
VIT = "vit_tiny_patch16_224"


def make(keep: float = 0.5, **options: int) -> PlainBackbone:
    """A backbone with random weights, in evaluation mode."""
    torch.manual_seed(0)
    leaving = {"keep": keep, "keep_after": AFTER} if keep < 1 else {}
    size = {"depth": DEPTH, "embed_dim": 48, "num_heads": 3}
    backbone = create_backbone(VIT, CANVAS, options={**size, **leaving, **options})
    assert isinstance(backbone, PlainBackbone)
    torch.manual_seed(1)
    for value in backbone.vit.parameters():
        nn.init.normal_(value, std=1.0 if value.ndim == 1 else value[0].numel() ** -0.5)
    return backbone.eval()


def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 3, *CANVAS), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def group(backbone: PlainBackbone, name: str, enter: int) -> TokenGroup:
    return TokenGroup(name, 3, enter, LearnedQueries(3, backbone.spec.width, std=1.0))


def test_those_that_leave_keep_their_last_value_and_the_others_run_as_a_sequence_of_their_own() -> None:
    thin, whole = make(), make(keep=1)
    with torch.no_grad():
        last = thin(images()).last
        tokens = whole.context(images(), [AFTER])[AFTER]
        order = thin.fewer.scores(tokens[:, 1:], (4, 6)).argsort(1, descending=True)
        for image in range(2):
            stay, left = order[image, :12], order[image, 12:]
            patches = last.patches[image].flatten(1).T
            expected = thin.vit.norm(tokens[image, 1:][left])
            torch.testing.assert_close(patches[left], expected, atol=1e-5, rtol=1e-5)
            short = torch.cat([tokens[image, :1], tokens[image, 1:][stay]])[None]
            for block in thin.vit.blocks[AFTER:]:
                short = block(short)
            short = thin.vit.norm(short)[0]
            torch.testing.assert_close(patches[stay], short[1:], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(last.prefix[image], short[:1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("enter", [1, AFTER, 3])
def test_isolated_queries_change_nothing(enter: int) -> None:
    backbone = make()
    own, other = group(backbone, "own", 3), group(backbone, "other", enter)
    with torch.no_grad():
        alone, beside = backbone(images(), [own]).last, backbone(images(), [own, other]).last
    torch.testing.assert_close(beside.patches, alone.patches, atol=1e-6, rtol=0)
    torch.testing.assert_close(beside.queries["own"], alone.queries["own"], atol=1e-6, rtol=0)


def test_queries_are_the_same_where_nobody_reads_the_patches() -> None:
    backbone = make()
    groups = [group(backbone, "a", 1), group(backbone, "b", 3)]
    with torch.no_grad():
        with_patches, without = (backbone(images(), groups, patches=read).last for read in (True, False))
    for name, queries in with_patches.queries.items():
        torch.testing.assert_close(without.queries[name], queries, atol=1e-5, rtol=1e-5)


def test_the_score_learns_from_what_is_read_and_changes_no_value() -> None:
    backbone = make()
    quiet = backbone(images()).last.patches
    noisy = backbone.train()(images()).last.patches
    torch.testing.assert_close(noisy, quiet, atol=1e-5, rtol=1e-5)
    noisy.square().mean().backward()
    assert backbone.fewer.score.weight.grad.abs().max() > 0


def test_masked_queries_are_masked_by_patch() -> None:
    """A query that may see one patch alone, which stays, does not change with the others that stay."""

    class One:
        def query_mask(self, layer, queries, patches):
            tokens = backbone.seen[0]
            best = backbone.fewer.scores(tokens, (4, 6)).argmax(1)
            return nn.functional.one_hot(best, 24).bool()[:, None].expand(-1, 3, -1)

    backbone = make()
    with torch.no_grad():
        backbone.seen = [make(keep=1).context(images(), [AFTER])[AFTER][:, 1:]]
    masked = TokenGroup(
        "m", 3, 3, LearnedQueries(3, backbone.spec.width, std=1.0), layers=(DEPTH,), masked=True
    )
    free = backbone.train()(images(), [masked]).last.queries["m"]
    held = backbone(images(), [masked], {"m": One()}).last.queries["m"]
    assert (free - held).abs().max() > 1e-2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"keep_after is 4; patches leave after 1 to 3 of its 4 blocks"):
        make(keep_after=4)
    with pytest.raises(ConfigError, match=r"keep is 0.5, but it has rotary positions"):
        create_backbone("vit_small_patch16_dinov3", CANVAS, options={"keep": 0.5, "keep_after": 1})
    with pytest.raises(ConfigError, match=r"keep is 0.5, but it adds positions between blocks"):
        make(positions_between=True)
    with pytest.raises(ConfigError, match=r"frozen blocks cannot be cached; set cache.views=0"):
        make().context(images(), [1])
