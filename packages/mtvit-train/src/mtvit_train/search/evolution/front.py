"""Who beats whom where several goals count: non-dominated sorting and crowding (Deb et al. 2002, NSGA-II).

a dominates b: a is no worse in any goal, and better in one
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

#: Candidates by goals; of each goal, less is better.
Goals = Float64[ndarray, "candidates goals"]


def dominates(goals: Goals) -> Bool[ndarray, "candidates candidates"]:
    """Tell of every pair whether the first dominates the second."""
    a, b = goals[:, None], goals[None]
    return np.asarray((a <= b).all(-1) & (a < b).any(-1))


def ranks(goals: Goals) -> Int64[ndarray, " candidates"]:
    """Return 0 for those that nothing dominates, 1 for those that only these dominate, and so on."""
    beats, found = dominates(goals), np.full(len(goals), -1, np.int64)
    rank = 0
    while (found < 0).any():
        left = found < 0
        found[left & ~beats[left].any(0)] = rank
        rank += 1
    return found


def crowding(goals: Goals) -> Float64[ndarray, " candidates"]:
    """Return how far the neighbours of each are apart, summed over the goals; infinite at the ends.

    Args:
        goals: Candidates of one rank.
    """
    distance = np.zeros(len(goals))
    for goal in goals.T:
        order = np.argsort(goal, kind="stable")
        spread = goal[order[-1]] - goal[order[0]] if len(goal) else 0.0
        if spread > 0:
            distance[order[1:-1]] += (goal[order[2:]] - goal[order[:-2]]) / spread
            distance[order[0]] = distance[order[-1]] = np.inf
    return distance


def best_first(goals: Goals) -> list[int]:
    """Return the candidates by rank, those of a rank by falling crowding, equal ones in their order."""
    rank, distance = ranks(goals), np.zeros(len(goals))
    for one in range(rank.max(initial=-1) + 1):
        distance[rank == one] = crowding(goals[rank == one])
    return [int(index) for index in np.lexsort((-distance, rank))]


def front(goals: Goals) -> list[int]:
    """Return those that nothing dominates, of equal ones the first, by the first goal."""
    _, first = np.unique(goals, axis=0, return_index=True)
    alive = set(first.tolist()) & set(np.flatnonzero(ranks(goals) == 0).tolist())
    return sorted(alive, key=lambda index: tuple(goals[index]))


def goals_of(rows: Sequence[tuple[float, ...]]) -> Goals:
    """Return goals as an array."""
    return np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
