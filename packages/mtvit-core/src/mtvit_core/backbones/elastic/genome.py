"""A genome: the shape of one candidate of a supernet, as text ``192: 3x4 3x3.5 0 4x4``."""

import re
from dataclasses import dataclass

from mtvit_core.errors import ConfigError

#: A block as text: heads x ratio, or 0 where it is absent.
_BLOCK = re.compile(r"(\d+)x(\d+(?:\.\d+)?)")
FORM = "a width, a colon, and heads x ratio of every block, 0 for an absent one, as '192: 3x4 3x3.5 0 4x4'"


@dataclass(frozen=True)
class Genome:
    """Width of the trunk, and heads and ratio of every block of the largest network.

    Attributes:
        width: Width of the trunk C.
        heads: Attention heads of each block; 0: the block is absent.
        ratios: Hidden width of each block's feed-forward part over C; 0 for an absent block.
    """

    width: int
    heads: tuple[int, ...]
    ratios: tuple[float, ...]

    @property
    def depth(self) -> int:
        """Number of blocks that are there."""
        return sum(count > 0 for count in self.heads)

    def __str__(self) -> str:
        """The text that ``parse`` reads; equal genomes have equal texts."""
        pairs = zip(self.heads, self.ratios, strict=True)
        blocks = [f"{heads}x{round(ratio, 6):.10g}" if heads else "0" for heads, ratio in pairs]
        return f"{self.width}: {' '.join(blocks)}"

    @classmethod
    def parse(cls, text: str) -> "Genome":
        """Read a genome.

        Raises:
            ConfigError: the text has another form.
        """
        width, colon, rest = text.strip().partition(":")
        blocks = rest.split()
        if not width.strip().isdigit() or not colon or not blocks:
            raise ConfigError(f"genome {text!r}: this is no genome; give {FORM}.")
        genes = [_gene(text, block) for block in blocks]
        return cls(int(width), tuple(heads for heads, _ in genes), tuple(ratio for _, ratio in genes))


def _gene(text: str, block: str) -> tuple[int, float]:
    if block == "0":
        return 0, 0.0
    found = _BLOCK.fullmatch(block)
    if found is None or not int(found[1]) or not float(found[2]):
        raise ConfigError(f"genome {text!r}: {block!r} is no block; give {FORM}.")
    return int(found[1]), float(found[2])


def hidden_width(width: int, ratio: float) -> int:
    """Return the hidden width of a feed-forward part."""
    return round(width * ratio)
