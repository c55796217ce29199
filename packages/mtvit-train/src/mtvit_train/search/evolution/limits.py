"""Which candidates are allowed: their number of weights, and the time of their pass."""

from collections.abc import Callable
from dataclasses import dataclass

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.errors import ConfigError
from mtvit_train.config.search import SearchTable


@dataclass(frozen=True)
class Limits:
    """The limits of a search.

    Attributes:
        table: Where they are set.
        parameters: Counts the weights of a candidate.
        ms: Tells its time; only asked of those with the right number of weights.
    """

    table: SearchTable
    parameters: Callable[[Genome], int]
    ms: Callable[[Genome], float | None]

    def side(self, genome: Genome) -> int:
        """Tell whether a candidate is within the limits (0), above (1) or below (-1)."""
        table, count = self.table, self.parameters(genome)
        if table.max_parameters and count > table.max_parameters:
            return 1
        if count < table.min_parameters:
            return -1
        ms = self.ms(genome) if table.max_ms else None
        return int(ms is not None and ms > table.max_ms)

    def check(self, space: Space) -> None:
        """Check that the limits leave anything.

        Raises:
            ConfigError: the smallest candidate is above, or the largest below.
        """
        table = self.table
        least, most = (self.parameters(genome) for genome in (space.smallest, space.largest))
        if table.max_parameters and least > table.max_parameters:
            raise ConfigError(
                f"search.max_parameters is {table.max_parameters}, but the smallest candidate has {least} "
                "with its heads; allow more."
            )
        if most < table.min_parameters:
            raise ConfigError(
                f"search.min_parameters is {table.min_parameters}, but the largest candidate has {most} with "
                "its heads; ask for fewer."
            )
        ms = self.ms(space.smallest) if table.max_ms else None
        if ms is not None and ms > table.max_ms:
            raise ConfigError(
                f"search.max_ms is {table.max_ms:g}, but a pass of the smallest candidate takes {ms:.2f} ms "
                "here; allow more."
            )
