"""Every check of backbones can fail: on one that is broken in one place, with a message in words."""

import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from mtvit_core.plugins import registry
from mtvit_core.testing import BackboneSuite
from support.models.broken_backbones import VARIANTS

CHECKS = [name.removeprefix("test_") for name in vars(BackboneSuite) if name.startswith("test_")]

#: Check, variant, and what is found; … stands for numbers and the like.
BROKEN = (
    ("declaration", "Square", "spec.canvas is (64, 64) for a canvas of (64, 96)"),
    ("options", "Careless", "the option no_such_option was taken"),
    ("sizes", "Tolerant", "images of 17 x 24 pixels were taken, which the patch does not divide"),
    ("sizes", "Resizing", "images of (16, 24) give patches, prefix, queries and canvas …, not …"),
    (
        "batches",
        "Normed",
        "the patches at the output: a difference of … between a batch of several images and a batch of its "
        "own",
    ),
    (
        "unread_patches",
        "Wasteful",
        "patches and prefix that nobody reads have the shapes ((2, 24, 8, 12), (2, 4, 24))",
    ),
    (
        "inner_patches",
        "Blind",
        "asked for the patches of depths [0, 1, 2], it gives {}, not (2, 24, 8, 12) each",
    ),
    ("isolation", "Open", "…: a difference of … beside … without gradients"),
    ("joint_groups", "Closed", "the patches at the output stay as they are when another joint group changes"),
    (
        "entry",
        "Early",
        "the first patches: a difference of … as queries that begin as they do, before their entry block 1",
    ),
    ("entry", "Pickless", "the pick of a source is not in Features.picks"),
    ("entry", "Shallow", "a group that enters at block 0 is not read at depth 0"),
    ("positions", "Unplaced", "the positions that a source gives after one block are not added"),
    ("masks", "Unmasked", "a mask that allows one patch changes nothing"),
    ("depths", "Flat", "depth_of('layers.0.norm1.weight') is 0, but block 0 holds it"),
    ("depths", "Reversed", "depth_of('layers.0.norm1.weight') is 1, but block 2 holds it"),
    ("reach", "Idle", "no output reads idle"),
    (
        "state_dict",
        "Drawn",
        "the patches at the output: a difference of … after the model was saved and loaded",
    ),
    ("pretrained", "Deaf", "a file of weights that does not exist was taken"),
    (
        "checkpointing",
        "Greedy",
        "a pass keeps … bytes for gradients with checkpointing, and … without",
    ),
    ("precision", "Exact", "precision changes nothing"),
    ("sharding", "Sideways", "a pass of sharded blocks raised RuntimeError: …"),
    ("compiling", "Interpreted", "nothing is traced after compile_blocks()"),
    ("exporting", "Deciding", "torch.export raised …"),
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the broken family be installed, and only this one."""
    entry = EntryPoint("broken", "support.models.broken_backbones", "mtvit")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    registry.registry.cache_clear()
    yield
    registry.registry.cache_clear()


def suite_of(variant: str) -> BackboneSuite:
    """A suite as an author would write it."""

    class Suite(BackboneSuite):
        backbone = f"broken:{variant}"
        options = {"width": 24, "depth": 3, "heads": 2}

    return Suite()


@pytest.mark.parametrize(("check", "variant", "found"), BROKEN, ids=[f"{c}-{v}" for c, v, _ in BROKEN])
def test_a_broken_backbone_fails(check: str, variant: str, found: str) -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        getattr(suite_of(variant), f"test_{check}")()
    lines = str(caught.value).splitlines()
    assert lines[0] == f"backbone 'broken:{variant}' fails the check {check!r}"
    assert re.fullmatch("  contract: .{40,}", lines[1])
    assert re.fullmatch("  found:    " + ".+".join(map(re.escape, found.split("…"))), lines[2]), lines[2]
    assert re.fullmatch("  to fix:   .{10,}", lines[3])
    assert len(lines) == 4


@pytest.mark.parametrize("check", CHECKS)
def test_the_whole_one_passes(check: str) -> None:
    getattr(suite_of("Whole"), f"test_{check}")()


def test_every_check_and_every_variant_is_there() -> None:
    assert {check for check, _, _ in BROKEN} == set(CHECKS)
    assert {variant for _, variant, _ in BROKEN} == VARIANTS.keys() - {"Whole"}
