"""How long a candidate's pass takes: timed each, or told from a table of candidates of equal blocks.

T(genome) = base[C] + sum over blocks that are there of t[C, heads, ratio]

T is timed for networks whose blocks are all equal. One of D blocks gives base + D t; where depth can be
chosen, the most and the fewest blocks give both, else base is part of t.
"""

import json
from collections.abc import Callable, Mapping
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
    base: dict[str, float] = {}
    blocks: dict[str, float] = {}
    for width in space.widths:
        deep: dict[str, float] = {}
        slopes: list[float] = []
        for heads, ratio in product(space.heads, space.ratios):
            only = replace(space, widths=(width,), heads=(heads,), ratios=(ratio,))
            deep[_key(width, heads, ratio)] = timer(only.largest)
            if len(space.depths) > 1:
                fewer = space.depths[-1] - space.depths[0]
                slopes.append((deep[_key(width, heads, ratio)] - timer(only.smallest)) / fewer)
        # The same for all kinds of block: noise is not to move time from blocks to what lies beside them.
        beside = [whole - space.blocks * slope for whole, slope in zip(deep.values(), slopes, strict=False)]
        base[str(width)] = max(0.0, median(beside)) if beside else 0.0
        blocks |= {key: (whole - base[str(width)]) / space.blocks for key, whole in deep.items()}
    table, rng = BlockTimes(machine, base, blocks, 0.0), np.random.default_rng([seed, CHECKED])
    drawn = [space.draw(rng) for _ in range(CHECKED)]
    return replace(table, error=median(abs(table.ms(one) / timer(one) - 1) for one in drawn))


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
