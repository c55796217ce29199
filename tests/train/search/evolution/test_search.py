"""The search, on scores whose best is known."""

import json
from itertools import product
from pathlib import Path

import pytest

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.log import Log
from mtvit_train.search.evolution.search import Search
from support.training.search_cases import (
    BEST,
    SMALL,
    SPACE,
    Scored,
    Silent,
    nearness,
    searched,
    size,
    toy,
    worth,
)


def test_evolution_beats_as_many_random_draws(tmp_path: Path) -> None:
    found = searched(tmp_path / "log", generations=15, random=True)
    evolved, drawn = (
        max(nearness(Genome.parse(c.genome)) for c in found.of(a)) for a in ("evolution", "random")
    )
    assert len(found.of("evolution")) == len(found.of("random")) == 300
    assert evolved > 1.5 * drawn


def test_the_best_of_all_is_found_in_time(tmp_path: Path) -> None:
    found = searched(tmp_path / "log", generations=60, mutate_block=0.1)
    assert found.winner.genome == str(BEST)


def test_fitness_is_the_sum_of_ratios_to_the_largest(tmp_path: Path) -> None:
    found = searched(tmp_path / "log", generations=1)
    largest = nearness(SPACE.largest)
    for one in found.candidates:
        near = nearness(Genome.parse(one.genome))
        assert one.ratios == {"toy": near / largest, "other": near**2 / largest**2}
        assert one.fitness == pytest.approx(sum(one.ratios.values()))
    assert found.largest.fitness == 2


def test_every_candidate_is_within_the_limits(tmp_path: Path) -> None:
    found = searched(
        tmp_path / "log", generations=4, min_parameters=1100, max_parameters=1400, max_ms=12, random=True
    )
    assert all(1100 <= one.parameters <= 1200 for one in found.candidates)
    assert all(one.ms is not None and one.ms <= 12 for one in found.candidates)
    assert size(BEST) == 1008


def test_no_candidate_is_scored_twice(tmp_path: Path) -> None:
    scores = Scored()
    searched(tmp_path / "log", scores, generations=6, random=True)
    assert len(scores.genomes) == len(set(scores.genomes))


def test_the_front_is_that_of_all_genomes(tmp_path: Path) -> None:
    genes = list(product(SMALL.heads, SMALL.ratios))
    every = [Genome(8, *map(tuple, zip(*blocks, strict=True))) for blocks in product(genes, repeat=4)]
    points = [(size(one), worth(one)) for one in every]
    true = {p for p in points if not any(a <= p[0] and b >= p[1] and (a, b) != p for a, b in points)}
    settings = {"generations": 15, "objective": "front", "random": True}
    found = searched(tmp_path / "log", Scored(score=worth), space=SMALL, **settings)
    evolved, drawn = (
        {(one.parameters, worth(Genome.parse(one.genome))) for one in found.of(arm)} & true
        for arm in ("evolution", "random")
    )
    assert len(found.of("evolution")) == 300 < len(every) / 4
    assert len(evolved) > 0.8 * len(true)
    assert len(drawn) < 0.5 * len(true)


@pytest.mark.parametrize("lives", [0, 1, 7, 30, 64, 65])
@pytest.mark.parametrize("objective", ["fitness", "front"])
def test_killed_and_resumed_is_the_same_bit_for_bit(tmp_path: Path, lives: int, objective: str) -> None:
    settings = {"generations": 3, "objective": objective, "random": True, "unseen": 1, "max_ms": 15}
    whole = searched(tmp_path / "whole", Scored(), **settings)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "killed", Scored(lives), **settings)
    with (tmp_path / "killed").open("a") as file:
        file.write('{"kind": "candi')  # torn
    again = Scored()
    assert searched(tmp_path / "killed", again, **settings) == whole
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert lives + len(again.genomes) == 1 + 3 * 20 * 2 + 3 - len(shared(tmp_path / "whole"))


def shared(log: Path) -> set[str]:
    """Genomes of both arms, and the largest among them; they are scored once."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    arms = [{one["genome"] for one in lines if one.get("arm") == arm} for arm in ("evolution", "random")]
    return (arms[0] & arms[1]) | ({str(SPACE.largest)} & (arms[0] | arms[1]))


def test_a_finished_search_scores_nothing_again(tmp_path: Path) -> None:
    first = searched(tmp_path / "log", generations=2)
    before, scores = (tmp_path / "log").read_bytes(), Scored(lives=0)
    assert searched(tmp_path / "log", scores, generations=2) == first
    assert (tmp_path / "log").read_bytes() == before


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    searched(tmp_path / "log", generations=2)
    with pytest.raises(CheckpointError, match=r"line 2 has genome '.*' where this search comes to '.*'"):
        searched(tmp_path / "log", generations=2, seed=1)


def test_the_best_are_scored_on_unseen_images(tmp_path: Path) -> None:
    found = searched(tmp_path / "log", generations=2, random=True, unseen=5)
    assert set(found.unseen) == {"winner", "random", "largest"}
    assert found.unseen["winner"]["toy"] == pytest.approx(0.9 * found.winner.ratios["toy"])


def test_limits_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_parameters is 10, but the smallest candidate has 160"):
        searched(tmp_path / "log", max_parameters=10)
    with pytest.raises(ConfigError, match="min_parameters is 90000, but the largest candidate has 5120"):
        searched(tmp_path / "log", min_parameters=90000)
    with pytest.raises(ConfigError, match=r"max_ms is 1, but a pass of the smallest candidate takes 1.60 ms"):
        searched(tmp_path / "log", max_ms=1)
    with pytest.raises(ConfigError, match="none of 200 tries gave a candidate"):
        searched(tmp_path / "log", min_parameters=161, max_parameters=162)


def test_a_generation_that_cannot_be_filled_is_told(tmp_path: Path) -> None:
    watcher = Silent()
    table = SearchTable(population=5, mutants=2, crossovers=2, generations=4, max_parameters=170, tries=3)
    found = Search(toy(Scored()), table, Log(tmp_path / "log"), watcher).run()
    assert 1 <= len(found.candidates) < 20
    assert len(watcher.bests) == 4
