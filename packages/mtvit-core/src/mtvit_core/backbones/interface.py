"""What every backbone is to the rest of mtvit."""

from dataclasses import dataclass

from mtvit_core.errors import ConfigError, MtvitError


@dataclass(frozen=True)
class BackboneSpec:
    """What a task may know about the backbone when it builds its parts.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        patch: Rows and columns of a patch in pixels.
        canvas: Rows H and columns W that the model is built for.
        heads: Attention heads of a block.
    """

    width: int
    depth: int
    patch: tuple[int, int]
    canvas: tuple[int, int]
    heads: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows h and columns w of patches at the canvas the model is built for."""
        return self.canvas[0] // self.patch[0], self.canvas[1] // self.patch[1]


Option = bool | int | float | str | list[int]


def check_divides(
    canvas: tuple[int, int], patch: tuple[int, int], what: str, error: type[MtvitError] = ConfigError
) -> None:
    """Refuse rows and columns that are not multiples of the patch, naming the nearest that are.

    Raises:
        ConfigError: (or ``error``) they are not.
    """
    if canvas[0] % patch[0] or canvas[1] % patch[1]:
        fit = tuple(max(1, round(c / p)) * p for c, p in zip(canvas, patch, strict=True))
        raise error(
            f"{what}: {canvas[0]} x {canvas[1]} pixels is not a multiple of the patch, "
            f"{patch[0]} x {patch[1]}; the nearest that fits is {fit[0]} x {fit[1]}."
        )
