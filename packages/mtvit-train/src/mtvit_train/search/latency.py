"""How long a candidate's pass takes: timed each, or told from a table of candidates of equal blocks.

T(genome) = base[C] + sum over blocks that are there of t[C, heads, ratio]

T is timed for networks whose blocks are all equal. One of D blocks gives base + D t; where depth can be
chosen, the most and the fewest blocks give both, else base is part of t.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.errors import ConfigError
from mtvit_train.config.search import SearchTable
from mtvit_train.recording.records import write_json
from mtvit_train.search.evolution.log import COMMAND, Log
from mtvit_train.state.atomic_folder import writing

#: Times a pass of a candidate, in milliseconds.
Timer = Callable[[Genome], float]
#: Drawn candidates that a table is held to.
CHECKED = 5
#: Rounds in which the networks of a table are timed.
ROUNDS = 3


@dataclass(frozen=True)
class BlockTimes:
    """A table of times.

    Attributes:
        machine: What they were measured on, in words.
        base: Milliseconds beside the blocks, by width.
        blocks: Milliseconds of a block, by ``width heads ratio``.
        error: Median deviation of the table from drawn candidates that were timed, as a share.
    """

    machine: str
    base: Mapping[str, float]
    blocks: Mapping[str, float]
    error: float

    def ms(self, genome: Genome) -> float:
        """Return the milliseconds of a pass."""
        genes = zip(genome.heads, genome.ratios, strict=True)
        return self.base[str(genome.width)] + sum(
            self.blocks[_key(genome.width, *gene)] for gene in genes if gene[0]
        )

    def fits(self, space: Space) -> bool:
        """Tell whether every choice of a space has its time."""
        keys = {_key(*choice) for choice in product(space.widths, space.heads, space.ratios)}
        return keys <= self.blocks.keys() and {str(width) for width in space.widths} <= self.base.keys()

    @property
    def line(self) -> str:
        """What is said of the table."""
        return (
            f"Times are told from {len(self.blocks)} kinds of block, timed on {self.machine}; drawn "
            f"candidates deviate by {self.error:.1%} (median of {CHECKED})."
        )


def time_blocks(space: Space, timer: Timer, machine: str, seed: int) -> BlockTimes:
    """Measure a table.

    Args:
        space: Its choices.
        timer: Times a candidate.
        machine: What it is timed on, in words.
        seed: Number of the stream of the candidates that the table is held to.
    """
    rng = np.random.default_rng([seed, CHECKED])
    kinds = list(product(space.widths, space.heads, space.ratios))
    drawn = [space.draw(rng) for _ in range(CHECKED)]
    ends = [(width, *end) for width in space.widths for end in _ends(space)]
    shallow = [_equal(space, *kind).smallest for kind in ends] if len(space.depths) > 1 else []
    ms = _fastest(timer, [*(_equal(space, *kind).largest for kind in kinds), *shallow, *drawn])
    base = {}
    for width in space.widths:
        slopes = [_slope(space, ms, width, *end) for end in _ends(space)] if shallow else []
        beside = [ms[_equal(space, width, *end).largest] for end in _ends(space)]
        rest = [whole - space.blocks * slope for whole, slope in zip(beside, slopes, strict=False)]
        base[str(width)] = max(0.0, sum(rest) / len(rest)) if rest else 0.0
    blocks = {
        _key(*kind): (ms[_equal(space, *kind).largest] - base[str(kind[0])]) / space.blocks for kind in kinds
    }
    table = BlockTimes(machine, base, blocks, 0.0)
    return replace(table, error=median(abs(table.ms(one) / ms[one] - 1) for one in drawn))


def _fastest(timer: Timer, genomes: Sequence[Genome]) -> dict[Genome, float]:
    """Time networks in rounds, and take the fastest of each: a busy moment then spoils none of them."""
    rounds = [[timer(genome) for genome in genomes] for _ in range(ROUNDS)]
    return {genome: min(times) for genome, times in zip(genomes, zip(*rounds, strict=True), strict=True)}


def _equal(space: Space, width: int, heads: int, ratio: float) -> Space:
    """The networks of a space whose blocks are all equal."""
    return replace(space, widths=(width,), heads=(heads,), ratios=(ratio,))


def _ends(space: Space) -> tuple[tuple[int, float], tuple[int, float]]:
    """Heads and ratio of the smallest and of the largest block."""
    return (space.heads[0], space.ratios[0]), (space.heads[-1], space.ratios[-1])


def _slope(space: Space, ms: Mapping[Genome, float], width: int, heads: int, ratio: float) -> float:
    """Milliseconds that a block adds."""
    equal = _equal(space, width, heads, ratio)
    return (ms[equal.largest] - ms[equal.smallest]) / (space.depths[-1] - space.depths[0])


def read_times(path: Path, space: Space) -> BlockTimes:
    """Read a table.

    Raises:
        ConfigError: the file is missing or holds something else, or lacks a block of the space.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        table = BlockTimes(**{name: found[name] for name in BlockTimes.__dataclass_fields__})
        fits = table.fits(space) and all(isinstance(ms, float | int) for ms in table.blocks.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise ConfigError(
            f"search.table {path}: no table of times ({type(cause).__name__}); give latency.json of a search."
        ) from None
    if not fits:
        raise ConfigError(
            f"search.table {path}: it lacks kinds of block that this supernet has; measure them here, "
            "without search.table."
        )
    return table


def write_times(path: Path, table: BlockTimes) -> None:
    """Write a table."""
    write_json(path, asdict(table))


def clock(
    table: SearchTable,
    space: Space,
    timer: Timer,
    machine: str,
    log: Log,
    kept: Path,
    tell: Callable[[str], None],
) -> Callable[[Genome], float | None]:
    """Return what tells the time of a candidate.

    Args:
        table: Settings.
        space: The space of the supernet.
        timer: Times a candidate.
        machine: What it is timed on, in words.
        log: Keeps times of single candidates.
        kept: File of the table of this search; one that is there is taken.
        tell: Given a line on where times come from.

    Raises:
        ConfigError: the table that the settings name is missing, malformed or of another space.
    """
    if table.latency == "none":
        return lambda genome: None
    if table.latency == "measure":
        tell(f"Every candidate is timed on {machine}.")
        return _Measuring(timer, log).ms
    if not kept.is_file():
        given = read_times(Path(table.table), space) if table.table else None
        made = given or time_blocks(space, timer, machine, table.seed)
        with writing(kept.parent, COMMAND):
            write_times(kept, made)
    times = read_times(kept, space)
    tell(times.line)
    return times.ms


class _Measuring:
    """Times each candidate once, and keeps it in the log."""

    def __init__(self, timer: Timer, log: Log) -> None:
        self._timer, self._log = timer, log
        self._known: dict[Genome, float] = {}

    def ms(self, genome: Genome) -> float:
        """Return the milliseconds of a pass."""
        if genome not in self._known:
            record: dict[str, Any] | None = self._log.recall("measured", genome=str(genome))
            if record is None:
                record = {"genome": str(genome), "ms": self._timer(genome)}
                self._log.add("measured", record)
            self._known[genome] = record["ms"]
        return self._known[genome]


def _key(width: int, heads: int, ratio: float) -> str:
    return f"{width} {heads} {ratio:g}"
