"""Checks of what a backbone says of itself, and of the images and options that it takes."""

import torch

from mtvit_core.errors import ConfigError, ShapeError
from mtvit_core.testing.backbone_case import EQUAL, BackboneCase, learned, require_same, tensors
from mtvit_core.testing.breach import Breach

#: Rows and columns of patches that every backbone is shown, beside those of its canvas.
GRIDS = ((2, 3), (5, 4), (7, 2))


def declaration(case: BackboneCase) -> None:
    """A backbone has the name and the options that were asked for, and its spec is that of its blocks."""
    backbone = case.fresh()
    spec, blocks = backbone.spec, backbone.blocks()
    if spec.canvas != case.canvas:
        raise Breach(
            f"spec.canvas is {spec.canvas} for a canvas of {case.canvas}", "keep the canvas as given"
        )
    if spec.depth != len(blocks):
        raise Breach(f"spec.depth is {spec.depth}, but blocks() are {len(blocks)}", "let both say the same")
    if not backbone.training:
        raise Breach("a fresh backbone is in evaluation mode", "leave it in training mode, as torch does")


def options(case: BackboneCase) -> None:
    """An option that the family does not know is refused by a ConfigError that names it."""
    stray = "no_such_option"
    try:
        BackboneCase(case.name, {**case.options, stray: 1}, case.canvas).fresh()
    except ConfigError as error:
        if stray in str(error):
            return
        raise Breach(f"the error does not name the option: {error}", "say which option it is") from error
    raise Breach(
        f"the option {stray} was taken", "hold the options to a pydantic model that forbids unknown ones"
    )


def sizes(case: BackboneCase) -> None:
    """Images of any size that the patch divides are answered on their grid, others refused by ShapeError."""
    backbone, (rows, columns) = case.stirred(), case.fresh().spec.patch
    group, width, prefix = learned(backbone, "a"), backbone.spec.width, None
    for grid in (backbone.spec.grid, *GRIDS):
        canvas = (grid[0] * rows, grid[1] * columns)
        with torch.no_grad():
            features = backbone(case.images(canvas), [group])
        last = features.last
        prefix = last.prefix.shape[1] if prefix is None else prefix
        wanted = [(2, width, *grid), (2, prefix, width), (2, 3, width), canvas]
        found = [tuple(last.patches.shape), tuple(last.prefix.shape), tuple(last.queries["a"].shape)]
        if [*found, features.canvas] != wanted:
            raise Breach(
                f"images of {canvas} give patches, prefix, queries and canvas {[*found, features.canvas]}, "
                f"not {wanted}",
                "let positions follow the grid of the images",
            )
        if not all(value.isfinite().all() for value in tensors(features).values()):
            raise Breach(f"images of {canvas} give values that are not finite", "look for a division by zero")
    try:
        backbone(case.images((2 * rows + 1, 3 * columns)))
    except ShapeError:
        return
    raise Breach(
        f"images of {2 * rows + 1} x {3 * columns} pixels were taken, which the patch does not divide",
        'call check_divides(canvas, self.spec.patch, "image", ShapeError) in `forward`',
    )


@torch.no_grad()
def batches(case: BackboneCase) -> None:
    """What an image gives does not depend on the other images of its batch."""
    backbone, images = case.stirred(), case.images(count=3)
    group = learned(backbone, "a")
    whole = tensors(backbone(images, [group]))
    for i in range(len(images)):
        require_same(
            {name: value[i : i + 1] for name, value in whole.items()},
            tensors(backbone(images[i : i + 1], [group])),
            EQUAL,
            "between a batch of several images and a batch of its own",
            "take no statistics over the batch, and mix no images",
        )


@torch.no_grad()
def unread_patches(case: BackboneCase) -> None:
    """With `patches=False` the output has no patches and no prefix, and the queries are the same."""
    backbone, images = case.stirred(), case.images()
    groups = [learned(backbone, "a"), learned(backbone, "b", backbone.spec.depth - 1, "joint")]
    read, unread = backbone(images, groups).last, backbone(images, groups, patches=False).last
    width = backbone.spec.width
    shapes = (tuple(unread.patches.shape), tuple(unread.prefix.shape))
    if shapes != ((2, width, 0, 0), (2, 0, width)):
        raise Breach(
            f"patches and prefix that nobody reads have the shapes {shapes}",
            "let the last block return the tokens from `first` on alone, as through_blocks asks",
        )
    require_same(
        {f"the queries of {name!r}": value for name, value in read.queries.items()},
        {f"the queries of {name!r}": value for name, value in unread.queries.items()},
        EQUAL,
        "where nobody reads the patches",
        "leave the context out of the last block's output only, not of what queries attend to",
    )


@torch.no_grad()
def inner_patches(case: BackboneCase) -> None:
    """Patches of any depth below the output are given where asked for, in evaluation too; all else stays."""
    backbone, images = case.stirred(), case.images()
    group, depths = learned(backbone, "a"), tuple(range(backbone.spec.depth))
    plain, asked = backbone(images, [group]), backbone(images, [group], depths=depths)
    shape = tuple(plain.last.patches.shape)
    found = {depth: tuple(patches.shape) for depth, patches in asked.inner.items()}
    if found != dict.fromkeys(depths, shape):
        raise Breach(
            f"asked for the patches of depths {list(depths)}, it gives {found}, not {shape} each",
            "take `depths` in `forward` and hand it to `Request`",
        )
    if set(asked.layers) != set(plain.layers) or plain.inner:
        raise Breach("depths that are asked for are among `layers`", "keep them in `Features.inner` alone")
    require_same(
        tensors(plain),
        tensors(asked),
        EQUAL,
        "where patches of inner depths are asked for",
        "let what is read on the way change nothing",
    )
