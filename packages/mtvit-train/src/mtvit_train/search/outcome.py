"""What a search leaves beside its log: the front, and the winner."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtvit_train.config.search import SearchConfig
from mtvit_train.recording.records import write_json
from mtvit_train.search.evolution.candidate import Candidate, fittest
from mtvit_train.search.evolution.front import front, goals_of
from mtvit_train.search.evolution.search import Found
from mtvit_train.state import run_files


def on_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that no other beats in fitness, parameters and time, the fittest first."""
    return [candidates[index] for index in front(goals_of([one.goals for one in candidates]))]


def write_outcome(out: Path, config: SearchConfig, found: Found) -> None:
    """Write ``front.json`` and ``winner.json``.

    Args:
        out: Folder of the search.
        config: Its settings.
        found: What it has found.
    """
    drawn = found.of("random")
    shown = [_plain(one) for one in on_front(found.of("evolution"))]
    goals = ["fitness", "parameters", *([] if found.winner.ms is None else ["ms"])]
    write_json(out / run_files.FRONT, {"goals": goals, "candidates": shown})
    told: dict[str, Any] = {
        "genome": found.winner.genome,
        "supernet": config.supernet,
        "winner": _plain(found.winner),
        "largest": _plain(found.largest),
        "random": _plain(fittest(drawn)) if drawn else None,
        "unseen": found.unseen,
        "singles": {task: vars(one) for task, one in found.fitness.measures.items()},
        "metrics": found.winner.metrics,
    }
    write_json(out / run_files.WINNER, told)


def _plain(candidate: Candidate) -> dict[str, Any]:
    data = candidate.to_json()
    del data["metrics"], data["arm"]
    return data
