"""What a two-branch ViT is made of; the first number of a pair is that of the branch with small patches.

Source of the published sizes: Chen et al. 2021 (CrossViT), Tables 1 and 2.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Patches that the convolutional stem can make, and the strides of its last two convolutions.
STRIDES = {4: (1, 1), 8: (2, 1), 12: (3, 1), 16: (2, 2)}


class CrossOptions(BaseModel):
    """Options of the backbone.

    Attributes:
        patches: Sides of a patch in pixels.
        widths: Token widths.
        depths: Blocks of a stage.
        stages: Stages, each of which ends in one exchange.
        heads: Attention heads.
        mlp_ratio: Hidden width of the feed-forward part over the token width.
        stem: ``linear``: patches are cut by one convolution. ``convs``: by three (the + models).
        exchange: What the branches tell each other at the end of a stage. ``none``: nothing. ``class``: each
            class token attends to the patches of the other branch (CrossViT). ``patches``: all tokens of each
            branch attend to all of the other.
        read: The branch that tasks read and that queries join.
        scale: Side of the image that the other branch is given, over the side of the canvas; it is then
            resized to the nearest multiple of its patch.
        blocks: ``pre-norm``: those of a ViT. ``bare``: attention without norms, residuals and feed-forward
            parts, a baseline, see ``bare``.
        join: Whether the patches that tasks read are the sum of both branches.
        drop_path_rate: Share of images for which a branch of the last block is dropped in training; it rises
            from 0 with the depth.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patches: tuple[int, int] = (8, 16)
    widths: tuple[int, int] = (96, 192)
    depths: tuple[int, int] = (1, 4)
    stages: int = Field(3, ge=1)
    heads: tuple[int, int] = (3, 3)
    mlp_ratio: float = Field(4.0, gt=0)
    stem: Literal["linear", "convs"] = "linear"
    exchange: Literal["none", "class", "patches"] = "class"
    read: Literal["small", "large"] = "large"
    scale: float = Field(1.0, gt=0)
    blocks: Literal["pre-norm", "bare"] = "pre-norm"
    join: bool = False
    drop_path_rate: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "CrossOptions":
        numbers = (*self.patches, *self.widths, *self.depths, *self.heads)
        if min(numbers) < 1 or self.patches[0] > self.patches[1]:
            raise ValueError("pairs hold numbers from 1, and patches the smaller one first")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"a width of {width} is no multiple of its {heads} heads")
        odd = [patch for patch in self.patches if self.stem == "convs" and patch not in STRIDES]
        if odd:
            raise ValueError(f"stem 'convs' makes patches of {', '.join(map(str, STRIDES))}, not of {odd[0]}")
        return self

    @property
    def order(self) -> tuple[int, int]:
        """Places in the pairs of the branch that is read, and of the other."""
        return (0, 1) if self.read == "small" else (1, 0)


def _published(
    widths: tuple[int, int], blocks: int, heads: int, mlp_ratio: float, stem: Literal["linear", "convs"]
) -> CrossOptions:
    return CrossOptions(
        patches=(12, 16),
        widths=widths,
        depths=(1, blocks),
        heads=(heads, heads),
        mlp_ratio=mlp_ratio,
        stem=stem,
    )


#: Options of each model by name; the names are timm's without ``crossvit_``.
MODELS = {
    "custom": CrossOptions(),
    "tiny_240": _published((96, 192), 4, 3, 4, "linear"),
    "small_240": _published((192, 384), 4, 6, 4, "linear"),
    "base_240": _published((384, 768), 4, 12, 4, "linear"),
    "9_240": _published((128, 256), 3, 4, 3, "linear"),
    "15_240": _published((192, 384), 5, 6, 3, "linear"),
    "18_240": _published((224, 448), 6, 7, 3, "linear"),
    "9_dagger_240": _published((128, 256), 3, 4, 3, "convs"),
    "15_dagger_240": _published((192, 384), 5, 6, 3, "convs"),
    "15_dagger_408": _published((192, 384), 5, 6, 3, "convs"),
    "18_dagger_240": _published((224, 448), 6, 7, 3, "convs"),
    "18_dagger_408": _published((224, 448), 6, 7, 3, "convs"),
}
#: Pixels a side for which each branch of a published model was trained.
NATIVE = {"240": (240, 224), "408": (408, 384)}


def options_of(model: str, given: dict[str, object]) -> dict[str, object]:
    """Return the options of a model with those that are given; branches keep the ratio of native sizes.

    Args:
        model: A key of ``MODELS``.
        given: Options that differ.
    """
    options: dict[str, object] = {**MODELS[model].model_dump(), **given}
    native = NATIVE.get(model.rsplit("_", 1)[-1])
    if native and "scale" not in given:
        small, large = native
        options["scale"] = large / small if options["read"] == "small" else small / large
    return options
