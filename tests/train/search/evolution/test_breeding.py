"""Generations of genomes."""

import pytest

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.breeding import Breeding
from support.training.search_cases import SPACE, size

TABLE = SearchTable(population=12, parents=3, mutants=4, crossovers=5)


def breeding(least: int = 0, most: int = 10**9, **settings: object) -> Breeding:
    def side(genome: Genome) -> int:
        return int(size(genome) > most) - int(size(genome) < least)

    return Breeding(SPACE, TABLE.model_copy(update=settings), side)


def drawn(count: int) -> list[Genome]:
    return [one.genome for one in breeding(population=count).generation("random", 7, [], ())]


def test_the_first_generation_is_drawn() -> None:
    found = breeding().generation("evolution", 0, [], ())
    assert [one.origin for one in found] == ["drawn"] * 12
    assert len({one.genome for one in found}) == 12
    assert all(SPACE.holds(one.genome) for one in found)


def test_later_ones_are_bred_and_filled_up() -> None:
    found = breeding().generation("evolution", 1, drawn(3), ())
    assert [one.origin for one in found] == ["mutant"] * 4 + ["crossover"] * 5 + ["drawn"] * 3
    assert all(SPACE.holds(one.genome) for one in found)


def test_genes_of_a_crossover_are_those_of_two_parents() -> None:
    a, b = drawn(2)
    for one in breeding(mutants=0, crossovers=12).generation("evolution", 1, [a, b], ()):
        assert one.origin in ("crossover", "drawn")
        if one.origin == "crossover":
            assert all(h in pair for h, *pair in zip(one.genome.heads, a.heads, b.heads, strict=True))
            assert all(r in pair for r, *pair in zip(one.genome.ratios, a.ratios, b.ratios, strict=True))


def test_nothing_comes_twice() -> None:
    first = {one.genome: one for one in breeding().generation("evolution", 0, [], ())}
    again = breeding().generation("evolution", 0, [], first)
    assert not {one.genome for one in again} & set(first)


def test_equal_seeds_give_equal_generations_and_others_do_not() -> None:
    parents = drawn(3)
    one, other = (breeding().generation("evolution", 2, parents, ()) for _ in range(2))
    assert one == other
    assert one != breeding(seed=1).generation("evolution", 2, parents, ())
    assert one != breeding().generation("evolution", 3, parents, ())
    assert breeding().generation("random", 0, [], ()) != breeding().generation("evolution", 0, [], ())


@pytest.mark.parametrize(("least", "most"), [(0, 400), (3500, 10**9), (1500, 1520)])
def test_all_are_within_limits_however_tight(least: int, most: int) -> None:
    found = breeding(least, most).generation("evolution", 0, [], ())
    assert len(found) > 6
    assert all(least <= size(one.genome) <= most for one in found)
    assert size(SPACE.smallest) < 200
    assert size(SPACE.largest) > 5000


def test_tries_run_out() -> None:
    assert breeding(most=1).generation("evolution", 0, [], ()) == []


def test_the_better_of_two_breeds_where_a_front_is_sought() -> None:
    best, *others = drawn(9)
    counts = {}
    for objective in ("fitness", "front"):
        bred = breeding(objective=objective, population=400, mutants=400, crossovers=0, mutate_block=0.02)
        found = [one.genome for one in bred.generation("evolution", 1, [best, *others], ())]
        counts[objective] = sum(near(one, best) > max(near(one, other) for other in others) for one in found)
    assert counts["front"] > 1.3 * counts["fitness"]


def near(one: Genome, other: Genome) -> int:
    """Number of equal genes."""
    return sum(a == b for a, b in zip(one.heads + one.ratios, other.heads + other.ratios, strict=True))
