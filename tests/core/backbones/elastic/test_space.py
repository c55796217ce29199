"""A space draws, varies and checks genomes of its own."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.errors import ConfigError

SPACE = Space((192, 128), (2, 3), (4.0, 3.0), (7, 8, 9), 9)


def test_the_ends_and_the_count() -> None:
    assert str(SPACE.largest) == "192: " + " ".join(["3x4"] * 9)
    assert str(SPACE.smallest) == "128: 2x3 2x3 0 2x3 0 2x3 2x3 2x3 2x3"
    assert SPACE.count == 2 * (4**7 + 4**8 + 4**9)


def test_absent_blocks_are_spread_before_the_last_third() -> None:
    space = Space((64,), (1,), (4.0,), (8, 10, 12), 12)
    assert space.absent(12) == frozenset()
    assert space.absent(10) == {2, 6}
    assert space.absent(8) == {1, 3, 5, 7}
    for depth in space.depths:
        assert not space.absent(depth) & {0, 8, 9, 10, 11}
        assert len(space.absent(depth)) == 12 - depth


def test_genomes_that_are_drawn_or_varied_are_of_the_space() -> None:
    rng = np.random.default_rng(0)
    parents = [SPACE.draw(rng) for _ in range(100)]
    children = [SPACE.crossover(a, b, rng) for a, b in pairwise(parents)]
    mutants = [SPACE.mutate(parent, rng) for parent in parents]
    assert all(SPACE.holds(genome) for genome in [*parents, *children, *mutants])
    assert len(set(parents)) == 100
    assert {g.width for g in parents} == {128, 192}
    assert set(Counter(g.depth for g in parents)) == {7, 8, 9}


def test_the_same_seed_gives_the_same_genomes() -> None:
    first, second = ([SPACE.draw(np.random.default_rng([7, 3])) for _ in range(2)] for _ in range(2))
    assert first == second


def test_a_child_has_genes_of_its_parents() -> None:
    rng = np.random.default_rng(0)
    a, b = SPACE.smallest, SPACE.largest
    children = [SPACE.crossover(a, b, rng) for _ in range(50)]
    assert {c.depth for c in children} == {7, 9}
    assert {c.heads[2] for c in children} == {0, 3}  # absent in one parent: all of it is the other's
    assert {c.ratios[8] for c in children} == {3.0, 4.0}


def test_a_mutation_changes_the_share_of_genes_it_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    parent = SPACE.largest
    assert SPACE.mutate(parent, rng, whole=0.0, block=0.0) == parent
    mutants = [SPACE.mutate(parent, rng, whole=0.0, block=0.2) for _ in range(300)]
    changed = np.mean([h != p for m in mutants for h, p in zip(m.heads, parent.heads, strict=True)])
    assert changed == pytest.approx(0.2, abs=0.03)
    assert all(m.width == 192 and m.depth == 9 for m in mutants)
    assert {SPACE.mutate(parent, rng, whole=1.0).width for _ in range(5)} == {128}


@pytest.mark.parametrize(
    ("genome", "complaint"),
    [
        (Genome(192, (3,) * 8, (4.0,) * 8), "it has 8 blocks; give 9."),
        (Genome(160, (3,) * 9, (4.0,) * 9), "its width is 160; give 128, 192."),
        (Genome(192, (5, *[3] * 8), (4.0,) * 9), "its heads of block 0 is 5; give 2, 3."),
        (Genome(192, (3,) * 9, (*[4.0] * 8, 3.5)), "its ratio of block 8 is 3.5; give 3, 4."),
        (
            Genome(192, (0, *[3] * 8), (0.0, *[4.0] * 8)),
            "block 0 is absent; at a depth of 8, the absent blocks are 3, counted from 0.",
        ),
        (
            Genome(192, (0,) * 9, (0.0,) * 9),
            "its number of blocks that are there is 0; give 7, 8, 9.",
        ),
    ],
)
def test_a_genome_of_another_space_is_refused(genome: Genome, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SPACE.check(genome)
    assert str(caught.value) == f"genome {str(genome)!r}: {complaint}"
    assert not SPACE.holds(genome)


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        (((), (1,), (4.0,), (9,)), "supernet: widths are []; give one at least, all above 0."),
        (((64,), (0, 1), (4.0,), (9,)), "supernet: heads are [0, 1]; give one at least, all above 0."),
        (
            ((64,), (1,), (4.0,), (8,)),
            "supernet: depths are [8], but the largest network has 9 blocks; give that number, and others "
            "from 4 on: first block and last third stay.",
        ),
        (
            ((64,), (1,), (4.0,), (3, 9)),
            "supernet: depths are [3, 9], but the largest network has 9 blocks; give that number, and others "
            "from 4 on: first block and last third stay.",
        ),
    ],
)
def test_choices_that_make_no_space_are_refused(choices: tuple, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Space(*choices, blocks=9)
    assert str(caught.value) == complaint
