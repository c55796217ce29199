"""What published models change in a plain ViT of timm; each is an option of the backbone.

patch_padding       zero pixels around the image before it is cut into patches (ViTPose: 2)
norm_eps            epsilon of every LayerNorm (TokenPose: 1e-5)
stem                what patches are cut from: the image, or a convolutional map of a quarter of its size
positions           learned, or the fixed table of ``sine_positions``
positions_again     the table is added to the context before every block, not only before the first
positions_between   a learned table of its own for every block but the first (YOLOS)
positions_antialias whether tables are smoothed where the grid of patches is smaller (YOLOS: not)
between_grid        rows and columns of patches of these, where not those of the first table (YOLOS)
pixel_mean, _std    what images are normalised by, where not what timm's weights were trained with
rope_rescale        in training, rotary coordinates are multiplied by a random factor (DINOv3, EoMT on it: 2)
width, block_heads  the model is cut to the leading parts of its weights, see ``narrowed``; so are the options
block_ratios        of what is cut out of a supernet
token_width         tokens of queries, and those that are read, are so wide, as those of the supernet
keep, keep_after    the share of patches that pass the blocks from keep_after on, see ``fewer_tokens``
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from timm.layers import RotaryEmbeddingDinoV3
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.plain.narrowed import genome_of, narrow
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.backbones.plain.stem import STRIDE, WIDTH, BottleneckStem
from mtvit_core.backbones.plain.timm_blocks import PlainViT, positions
from mtvit_core.errors import ConfigError

Count = Annotated[int, Field(ge=1)]
Deviation = Annotated[float, Field(gt=0)]


class PlainOptions(BaseModel):
    """Options of the backbone that are mtvit's own, beside timm's; the defaults change nothing.

    Attributes:
        patch_padding: Zeros around the normalised image; the number of patches stays the same, so patch i
            covers the pixels from ``i * patch - patch_padding`` on.
        norm_eps: Epsilon of every LayerNorm; None for timm's.
        stem: ``bottleneck``: patches are cut from the output of ``BottleneckStem``.
        positions: ``sine``: a fixed table instead of a learned one.
        positions_again: Whether positions are added before every block.
        positions_between: Whether every block but the first has learned positions of its own.
        between_grid: Rows and columns of patches of these tables; None for those of the first.
        pixel_mean: Mean of red, green and blue, of 1, that images are normalised by; None for timm's.
        pixel_std: Deviation, likewise.
        positions_antialias: Whether tables are resized to a smaller grid with smoothing, as timm does.
        rope_rescale: Largest factor by which rotary coordinates are stretched or shrunk in training, drawn
            log-uniformly for every pass; None for none.
        width: Width that the trunk is cut to; 0: it stays.
        block_heads: Heads that each block is cut to, 0 for an absent block; empty: they stay.
        block_ratios: Hidden width of each feed-forward part over that of the trunk; empty: they stay.
        token_width: Width of tokens that enter and are read, filled up with zeros; 0: that of the trunk.
        keep: Share of the patches that pass the blocks from ``keep_after`` on; 1 for all.
        keep_after: Number of blocks that all patches pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch_padding: int = Field(0, ge=0)
    norm_eps: float | None = Field(None, gt=0)
    stem: Literal["none", "bottleneck"] = "none"
    positions: Literal["learned", "sine"] = "learned"
    positions_again: bool = False
    positions_between: bool = False
    between_grid: tuple[Count, Count] | None = None
    pixel_mean: tuple[float, float, float] | None = None
    pixel_std: tuple[Deviation, Deviation, Deviation] | None = None
    positions_antialias: bool = True
    rope_rescale: float | None = Field(None, ge=1)
    width: int = Field(0, ge=0)
    block_heads: tuple[Annotated[int, Field(ge=0)], ...] = ()
    block_ratios: tuple[Annotated[float, Field(ge=0)], ...] = ()
    token_width: int = Field(0, ge=0)
    keep: float = Field(1.0, gt=0, le=1)
    keep_after: int = Field(0, ge=0)

    def apply(self, model: PlainViT, name: str) -> None:
        """Change a fresh model in place.

        Args:
            model: The model.
            name: Its name, for messages.

        Raises:
            ConfigError: an option does not fit the model.
        """
        patch = model.patch_embed.patch_size
        if 2 * self.patch_padding >= min(patch):
            raise ConfigError(
                f"backbone {name!r}: patch_padding is {self.patch_padding}; give less than half the patch, "
                f"{patch[0]} x {patch[1]}, so that the number of patches stays the same."
            )
        if self.stem == "bottleneck":
            _put_stem(model, name)
        if self.patch_padding:
            _last_convolution(model).padding = (self.patch_padding, self.patch_padding)
        if self.norm_eps is not None:
            for layer in model.modules():
                if isinstance(layer, nn.LayerNorm):
                    layer.eps = self.norm_eps
        if self.positions == "sine":
            _put_sine_positions(model, name)
        self._put_positions_between(model, name)
        self._check_keep(model, name)
        if self.rope_rescale is not None:
            _put_rescaling(model, name, self.rope_rescale)
        if self.width or self.block_heads or self.block_ratios:
            own = genome_of(model)
            heads, ratios = self.block_heads or own.heads, self.block_ratios or own.ratios
            narrow(model, name, Genome(self.width or own.width, heads, ratios))

    def _check_keep(self, model: PlainViT, name: str) -> None:
        if self.keep == 1 and not self.keep_after:
            return
        depth, again = len(model.blocks), self.positions_again or self.positions_between
        if again or getattr(model, "rope", None) is not None:
            what = "adds positions between blocks" if again else "has rotary positions"
            raise ConfigError(
                f"backbone {name!r}: keep is {self.keep:g}, but it {what}, which patches have by their "
                "order; leave keep out, or take a ViT with one table of positions."
            )
        if not 1 <= self.keep_after < depth:
            raise ConfigError(
                f"backbone {name!r}: keep_after is {self.keep_after}; patches leave after 1 to {depth - 1} "
                f"of its {depth} blocks, and all stay without keep and keep_after."
            )

    def _put_positions_between(self, model: PlainViT, name: str) -> None:
        for option in ("positions_again", "positions_between"):
            if getattr(self, option) and model.pos_embed is None:
                raise ConfigError(
                    f"backbone {name!r}: {option} is set, but it has no table of positions to add."
                )
        if self.between_grid is not None and not self.positions_between:
            raise ConfigError(
                f"backbone {name!r}: between_grid is the size of tables that positions_between asks for, "
                "which is not set; set both or none."
            )
        if self.positions_between:
            rows, width = model.pos_embed.shape[1:]
            if self.between_grid is not None:
                rows += math.prod(self.between_grid) - math.prod(model.patch_embed.grid_size)
            shape = (len(model.blocks) - 1, rows, width)
            model.mid_pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))

    def tables_between(
        self, model: PlainViT, grid: tuple[int, int]
    ) -> Sequence[Float[Tensor, "1 S D"] | None]:
        """Return what is added to the context before each block but the first; None for nothing."""
        gaps = len(model.blocks) - 1
        if self.positions_between:
            prefix, old = model.num_prefix_tokens, self.between_grid or model.patch_embed.grid_size
            own = 0 if model.no_embed_class else prefix
            tables = resize_tables(model.mid_pos_embed, old, grid, own, self.positions_antialias)
            return torch.split(F.pad(tables, (0, 0, prefix - own, 0)), 1)
        return [positions(model, grid, self.positions_antialias) if self.positions_again else None] * gaps


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort options of a backbone into those of ``PlainOptions`` and those of timm."""
    own = {key: value for key, value in options.items() if key in PlainOptions.model_fields}
    return own, {key: value for key, value in options.items() if key not in own}


def sine_positions(grid: tuple[int, int], width: int) -> Float[Tensor, "1 N D"]:
    """Return the fixed two-dimensional table of DETR (Carion et al. 2020), as TokenPose has it.

    Half of the width tells the row, half the column: sine and cosine of ``2 pi i / count`` over
    ``10000^(2 j / half)``, i counted from 1.

    Args:
        grid: Rows h and columns w of patches.
        width: Token width D, a multiple of 4.
    """
    half = width // 2
    divisor = 10000 ** (2 * torch.arange(half).div(2, rounding_mode="floor") / half)

    def axis(count: int) -> Tensor:
        place = torch.arange(1, count + 1) / (count + 1e-6) * 2 * torch.pi
        angle = place[:, None] / divisor
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], 2).flatten(1)

    rows, columns = axis(grid[0]), axis(grid[1])
    table = torch.cat([rows[:, None].expand(-1, grid[1], -1), columns.expand(grid[0], -1, -1)], 2)
    return table.reshape(1, grid[0] * grid[1], width)


def _put_stem(model: PlainViT, name: str) -> None:
    rows, columns = model.patch_embed.patch_size
    if rows % STRIDE or columns % STRIDE:
        raise ConfigError(
            f"backbone {name!r}: stem 'bottleneck' makes a map of a quarter of the image, so the patch, "
            f"{rows} x {columns}, must be a multiple of {STRIDE}."
        )
    old = model.patch_embed.proj
    kernel = (rows // STRIDE, columns // STRIDE)
    cut = nn.Conv2d(WIDTH, old.out_channels, kernel, kernel, bias=old.bias is not None)
    nn.init.trunc_normal_(cut.weight, std=0.02)
    model.patch_embed.proj = nn.Sequential(BottleneckStem(), cut)


def _last_convolution(model: PlainViT) -> nn.Conv2d:
    return [layer for layer in model.patch_embed.proj.modules() if isinstance(layer, nn.Conv2d)][-1]


def _put_rescaling(model: PlainViT, name: str, factor: float) -> None:
    rope = getattr(model, "rope", None)
    if not isinstance(rope, RotaryEmbeddingDinoV3):
        raise ConfigError(
            f"backbone {name!r}: rope_rescale is set, but it has no rotary positions of DINOv3's kind."
        )
    rope.rescale_coords, rope.aug_active = factor, True


def _put_sine_positions(model: PlainViT, name: str) -> None:
    if model.pos_embed is None or model.num_prefix_tokens or model.embed_dim % 4:
        raise ConfigError(
            f"backbone {name!r}: positions 'sine' need a table of patches alone, at a width that is a "
            "multiple of 4; take a ViT with learned positions and class_token=False."
        )
    table = sine_positions(model.patch_embed.grid_size, model.embed_dim)
    del model.pos_embed
    model.register_buffer("pos_embed", table)
