"""What a ViT of this family is made of.

Source of the published sizes: Xie et al. 2023 (ViT-MVT), the searched networks of its three tiers.
"""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Width of an attention head, whatever the width of the tokens; the side of a patch in pixels.
HEAD, PATCH = 64, 16
#: Channels that the gate squeezes into one.
SQUEEZE = 8


class MvtOptions(BaseModel):
    """Options of the backbone.

    Attributes:
        width: Token width C.
        block_heads: Attention heads of each block, as many numbers as there are blocks; 0: the block is
            absent, and tokens pass as they are.
        block_ratios: Hidden width of each block's feed-forward part over the token width; of a block that is
            absent, any number.
        se: What gates the channels of the attention output: ``attention``: its own mean over the map (as
            ViT-MVT is coded). ``input``: the mean of what attention was given (as it is drawn). ``none``.
        window: Side in patches of the windows in which patches attend; 0: the whole map is one window.
        aggregate: Blocks after which convolutions carry what windows have seen across their borders.
        token_width: Width of the tokens that tasks see, where larger than C: the rest is zero.
        norm_eps: Epsilon of every LayerNorm.
        drop_path_rate: Share of images for which a branch of a block is dropped in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(192, ge=SQUEEZE)
    block_heads: tuple[int, ...] = (3,) * 12
    block_ratios: tuple[float, ...] = (4.0,) * 12
    se: Literal["attention", "input", "none"] = "attention"
    window: int = Field(0, ge=0)
    aggregate: tuple[int, ...] = ()
    token_width: int = Field(0, ge=0)
    norm_eps: float = Field(1e-6, gt=0)
    drop_path_rate: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "MvtOptions":
        depth = len(self.block_heads)
        if depth != len(self.block_ratios):
            raise ValueError(
                f"block_heads are those of {depth} blocks, block_ratios of {len(self.block_ratios)}"
            )
        if not any(self.block_heads) or min(self.block_heads) < 0:
            raise ValueError("block_heads are numbers from 0, and one block at least has some")
        there = [ratio for heads, ratio in zip(self.block_heads, self.block_ratios, strict=True) if heads]
        low = [ratio for ratio in there if not 1 <= ratio * self.width < math.inf]
        if low:
            raise ValueError(f"a ratio of {low[0]} leaves no hidden width; give finite numbers above 0")
        odd = [block for block in self.aggregate if block not in range(depth) or not self.block_heads[block]]
        if odd or len(set(self.aggregate)) != len(self.aggregate):
            given = list(self.aggregate)
            raise ValueError(f"aggregate is {given}; give blocks that are there (0 to {depth - 1}) once each")
        if 0 < self.token_width < self.width:
            raise ValueError(f"a token_width of {self.token_width} is less than the width, {self.width}")
        return self

    @property
    def seen_width(self) -> int:
        """Width of the tokens that tasks see."""
        return self.token_width or self.width

    @property
    def seen_heads(self) -> int:
        """Heads that a task may take: most of them whose width is whole and no less than a head's."""
        most = max(1, self.seen_width // HEAD)
        return next(count for count in range(most, 0, -1) if self.seen_width % count == 0)

    def hidden(self, block: int) -> int:
        """Hidden width of a block's feed-forward part."""
        return int(self.width * self.block_ratios[block])


def _published(width: int, heads: tuple[int, ...], ratios: tuple[float, ...]) -> MvtOptions:
    # The released networks were trained with torch's epsilon, not with that of the network they are cut from.
    return MvtOptions(width=width, block_heads=heads, block_ratios=ratios, norm_eps=1e-5, drop_path_rate=0.1)


#: Options of each model by name.
MODELS = {
    "custom": MvtOptions(),
    "tiny": _published(
        216,
        (3, 3, 3, 3, 3, 3, 4, 3, 3, 3, 4, 4, 4, 4),
        (3, 3, 3, 3.5, 3.5, 3.5, 3, 4, 3, 4, 4, 4, 4, 4),
    ),
    "small": _published(
        384,
        (5, 5, 5, 5, 5, 7, 6, 6, 5, 7, 7, 5, 6, 6),
        (4, 4, 4, 3, 3.5, 3.5, 4, 3.5, 3.5, 3.5, 4, 4, 4, 3.5),
    ),
    "base": _published(
        576,
        (9, 10, 9, 9, 9, 9, 9, 10, 9, 10, 10, 9, 9, 9, 9, 9),
        (3.5, 3, 3, 3, 3, 3, 3, 3, 3, 3.5, 4, 3.5, 4, 3, 3.5, 3),
    ),
}


def options_of(model: str, given: dict[str, object]) -> dict[str, object]:
    """Return the options of a model with those that are given.

    Args:
        model: A key of ``MODELS``.
        given: Options that differ.
    """
    return {**MODELS[model].model_dump(), **given}
