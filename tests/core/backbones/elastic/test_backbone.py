"""A supernet run as a candidate is the candidate that is cut out of it."""

import copy
import pickle

import numpy as np
import pytest
import torch

from mtvit_core.backbones.elastic.backbone import KEPT, ElasticBackbone, elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.recipe import Recipe
from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.testing.backbone_case import gap, learned, tensors
from support.models.elastic_cases import noise, supernet

GENOMES = 100
LARGEST_GAP = 1e-6
CASES = {
    "plain": ("elastic:vit_tiny_patch16_224", {}),
    "rotary, gated": ("elastic:eva02_tiny_patch14_224", {"patch_size": 14, "ratios": [2.0, 2.666667]}),
    "rotary, registers": ("elastic:vit_small_patch16_dinov3", {}),
    "scaled": ("elastic:vit_small_patch14_reg4_dinov2", {"patch_size": 14}),
    "packed gate": (
        "elastic:vit_giant_patch14_dinov2",
        {"patch_size": 14, "mlp_ratio": 4.0, "ratios": [1.0, 1.5, 2.0]},
    ),
    "stem": ("elastic:vit_tiny_patch16_224", {"stem": "bottleneck", "positions_between": True}),
}


def groups(backbone: Backbone) -> list:
    torch.manual_seed(3)
    last = backbone.spec.depth - 1
    return [learned(backbone, "a"), learned(backbone, "b", 2), learned(backbone, "c", last, "joint")]


def check(found: ElasticBackbone, genome: Genome, canvas: tuple[int, int]) -> int:
    """Compare a candidate as it runs and as it is cut out; return the numbers that it holds."""
    found.genome, asked, images = genome, groups(found), noise(canvas)
    alone = found.cut_out(genome).eval()
    assert alone.spec == found.spec
    with torch.no_grad():
        run, cut = (tensors(one(images, asked)) for one in (found, alone))
    assert run.keys() == cut.keys()
    for name, value in run.items():
        assert gap(value, cut[name]) <= LARGEST_GAP, (name, str(genome))
        assert value.isfinite().all(), name
    return sum(weight.numel() for weight in alone.parameters())


@pytest.mark.parametrize("case", CASES)
def test_random_candidates_are_what_is_cut_out(case: str) -> None:
    name, options = CASES[case]
    patch = options.get("patch_size", 16)
    canvas = (3 * patch, 4 * patch)
    found = supernet(name, canvas, **options)
    rng, whole = np.random.default_rng(0), sum(weight.numel() for weight in found.parameters())
    for _ in range(GENOMES if case == "plain" else 10):
        genome = found.space.draw(rng)
        assert check(found, genome, canvas) < whole or genome == found.space.largest


@pytest.mark.parametrize("case", ["plain", "rotary, registers", "packed gate"])
def test_heads_and_hidden_numbers_that_are_muted_may_be_left_out(case: str) -> None:
    name, options = CASES[case]
    patch = options.get("patch_size", 16)
    found = supernet(name, (3 * patch, 4 * patch), **options)
    ratio = found.space.ratios[0]
    genome, head, hidden = Genome(48, (2,) * 4, (ratio,) * 4), 16, int(48 * ratio)
    with torch.no_grad():
        for block in found.largest.blocks():
            block.attn.proj.weight[:, 2 * head :] = 0
            block.mlp.fc2.weight[:, hidden:] = 0
        whole = tensors(found(noise(found.spec.canvas)))
        found.genome = genome
        for name, value in tensors(found(noise(found.spec.canvas))).items():
            assert gap(whole[name], value) <= 1e-5, name


def test_tokens_of_a_narrower_candidate_end_in_zeros() -> None:
    found = supernet()
    found.genome = found.space.smallest
    with torch.no_grad():
        last = found(noise(), groups(found)).last
    assert last.patches.shape[1] == last.queries["a"].shape[2] == last.prefix.shape[2] == 48
    assert last.patches[:, 32:].abs().max() == 0
    assert last.queries["a"][..., 32:].abs().max() == 0
    assert last.patches[:, :32].abs().min() > 0


def test_isolated_queries_change_nothing_in_a_candidate() -> None:
    found = supernet()
    found.genome, asked, images = found.space.smallest, groups(found), noise()
    with torch.no_grad():
        together = tensors(found(images, asked))
        for kept in (asked[1:], asked[2:], asked[:1] + asked[2:]):
            for name, value in tensors(found(images, kept)).items():
                assert gap(value, together[name]) <= LARGEST_GAP, name


def test_what_is_known_of_the_context_serves_a_candidate() -> None:
    found = supernet()
    found.genome, images = found.space.smallest, noise()
    asked = [learned(found, "a", 2), learned(found, "b", 3)]
    with torch.no_grad():
        whole = tensors(found(images, asked))
        known = tensors(found.forward_known(found.context(images, (2, 3, 4)), (48, 64), asked))
    for name, value in whole.items():
        assert gap(value, known[name]) <= 1e-5, name


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_of_a_candidate_are_those_of_its_parts(checkpointing: bool) -> None:
    found = supernet().train()
    found.checkpointing = checkpointing
    genome = found.space.smallest
    found.genome = genome
    alone = found.cut_out(genome).train()
    for one in (found, alone):
        one(noise()).last.patches.square().sum().backward()
    theirs = {f"largest.{name}": weight.grad for name, weight in alone.named_parameters()}
    for name, weight in found.named_parameters():
        if name not in theirs:
            assert weight.grad is None, name  # of an absent block
            continue
        assert weight.grad.abs().sum() == pytest.approx(float(theirs[name].abs().sum()), rel=1e-4), name
    found.genome = found.space.largest
    found(noise())


def test_only_the_largest_is_regularised_and_frozen_blocks_stay_so() -> None:
    found = supernet(drop_path_rate=0.5).train()
    found.genome = found.space.smallest
    first, second = (found(noise()).last.patches for _ in range(2))
    assert torch.equal(first, second)
    found.genome = found.space.largest
    first, second = (found(noise()).last.patches for _ in range(2))
    assert not torch.equal(first, second)
    found.freeze(1)
    found.genome = found.space.smallest
    assert found(noise(), [learned(found, "a")]).layers.keys() == {0, 1, 2, 3, 4}
    found.genome = found.space.largest
    assert found(noise(), [learned(found, "a")]).layers.keys() == {0, 1, 2, 3, 4}
    assert not found.largest.blocks()[0].training
    assert found.largest.blocks()[1].training


def test_a_copy_runs_with_its_own_weights() -> None:
    found = supernet()
    found.genome, images = found.space.smallest, noise()
    with torch.no_grad():
        before = found(images).last.patches
        for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            for weight in other.parameters():
                weight.zero_()
            assert torch.equal(found(images).last.patches, before)
            assert other(images).last.patches.abs().max() == 0


def test_few_candidates_are_kept() -> None:
    found, rng = supernet(), np.random.default_rng(0)
    with torch.no_grad():
        for _ in range(KEPT + 3):
            found.genome = found.space.draw(rng)
            found(noise())
    assert len(found._skeletons) == KEPT


def test_a_family_whose_shapes_are_seen_otherwise_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = supernet()
    monkeypatch.setattr(Recipe, "options_of", lambda self, g: self.family.shaped(self.name, self.options, g))
    found.genome = found.space.smallest
    with pytest.raises(PluginError, match="broken: with the genome '32: 1x2 0 1x2 1x2' its spec is"):
        found(noise())


def test_the_genome_must_be_of_the_space() -> None:
    found = supernet()
    with pytest.raises(ConfigError, match="its width is 44; give 32, 40, 48"):
        found.genome = Genome(44, (3,) * 4, (4.0,) * 4)
    assert found.genome == found.space.largest
    with pytest.raises(ConfigError, match="its heads of block 0 is 4; give 1, 2, 3"):
        found.cut_out(Genome(48, (4, 3, 3, 3), (4.0,) * 4))


def test_an_ordinary_backbone_is_no_supernet() -> None:
    with pytest.raises(ConfigError) as caught:
        elastic(supernet().largest, "model.genome '8: 1x4'")
    assert str(caught.value) == (
        "model.genome '8: 1x4': the backbone 'vit_tiny_patch16_224' is no supernet; take one, as "
        "'elastic:vit_small_patch16_224'."
    )
