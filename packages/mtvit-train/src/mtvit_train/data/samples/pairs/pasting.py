"""Objects of other training images, pasted where they fit by their masks.

    x = m x_b + (1 - m) x_a,  m the pasted object's mask, moved to a random place

What lies under it loses those pixels, and goes where too few are left. Source: Ghiasi et al. 2021, Simple
Copy-Paste, section 3; here one object comes at a time, and each has a place of its own.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from mtvit_core.errors import ConfigError, did_you_mean
from mtvit_core.structures.annotations import IMAGE_LABELS, LABEL_KINDS, Annotations
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.placed_annotations import tight

#: An object of which less than this share is left to be seen is no longer annotated.
LEFT = 0.1
MASKS = "masks"


@dataclass(frozen=True)
class Paste:
    """What comes into an image, and where to.

    Attributes:
        source: Place of the other image in its split.
        place: Which of its objects, as a share of their number.
        down: Where its centre goes, as a share of the rows of the canvas.
        across: The same of the columns.
    """

    source: int
    place: float
    down: float
    across: float


@dataclass(frozen=True)
class Donors:
    """Images that objects are taken from.

    Attributes:
        images: Places in their split.
        labels: Categories whose objects are taken.
    """

    images: Int64[ndarray, " N"]
    labels: frozenset[int]

    @classmethod
    def among(cls, packed: PackedAnnotations, config: AugmentConfig, needs: Set[str]) -> "Donors":
        """Find the images with labelled masks that show an object to paste.

        Args:
            packed: Training images.
            config: Settings; ``paste`` is not 0.
            needs: Kinds of label that the tasks learn from.

        Raises:
            ConfigError: a category is unknown, no image has masks of such an object, or a task learns classes
                of whole images, which would no longer be true.
        """
        if IMAGE_LABELS in needs:
            raise ConfigError(
                "augment.paste puts objects into images, but a task learns what whole images show; set it to "
                "0."
            )
        names = [category.name for category in packed.categories]
        for name in config.paste_categories:
            if name not in names:
                raise ConfigError(
                    f"augment.paste_categories: the data have no category {name!r}."
                    f"{did_you_mean(name, names)} There are: {', '.join(names)}."
                )
        wanted = config.paste_categories or tuple(names)
        labels = frozenset(names.index(name) for name in wanted)
        found = [i for i in range(len(packed)) if _offers(packed, i, labels)]
        if not found:
            raise ConfigError(
                f"augment.paste: no training image has a mask of {' or '.join(wanted)}; set augment.paste=0, "
                "or name other categories in augment.paste_categories."
            )
        return cls(np.array(found), labels)

    def draw(self, rng: np.random.Generator, share: float) -> Paste | None:
        """Draw what is pasted into an image; None: nothing."""
        # Always the same number of draws, so that no setting changes what another one draws.
        chance, place, down, across = rng.random(4)
        source = int(self.images[rng.integers(len(self.images))])
        return Paste(source, place, down, across) if chance < share else None


def _offers(packed: PackedAnnotations, index: int, labels: frozenset[int]) -> bool:
    rows = packed.rows(index)
    own = {
        int(label) for label, crowd in zip(packed.labels[rows], packed.crowd[rows], strict=True) if not crowd
    }
    return MASKS in packed.image(index).has and not own.isdisjoint(labels)


def paste(
    image: UInt8[Tensor, "3 H W"],
    ours: Annotations,
    other: UInt8[Tensor, "3 H W"],
    theirs: Annotations,
    drawn: Paste,
    labels: frozenset[int],
) -> tuple[UInt8[Tensor, "3 H W"], Annotations]:
    """Return an image with one object of another, and its annotations; both as they were where none fits.

    Args:
        image: The canvas.
        ours: Its annotations, masks among them.
        other: The canvas of the other image.
        theirs: Its annotations.
        drawn: What comes, and where to.
        labels: Categories whose objects are taken.
    """
    rows = _pasteable(ours, theirs, labels)
    if not rows:
        return image, ours
    row = rows[int(drawn.place * len(rows))]
    assert theirs.masks is not None
    shift = _shift(theirs.boxes[row], image.shape[-2:], drawn)
    mask = moved(theirs.masks[row], shift)
    pasted = torch.where(mask, moved(other, shift), image)
    seen = _beneath(ours, mask)
    added = _row(theirs, row, mask, shift)
    return pasted, _joined(seen, added, {name: moved(m, shift) for name, m in theirs.maps.items()}, mask)


def _pasteable(ours: Annotations, theirs: Annotations, labels: frozenset[int]) -> list[int]:
    """Rows of objects that say all that ours do, and whose category is looked for here."""
    kinds = set(LABEL_KINDS)
    if not (ours.has & kinds) <= theirs.has or not set(ours.maps) <= set(theirs.maps):
        return []
    known = ours.annotated
    return [
        row
        for row, (label, crowd) in enumerate(
            zip(theirs.labels.tolist(), theirs.is_crowd.tolist(), strict=True)
        )
        if label in labels and not crowd and (known is None or bool(known[label]))
    ]


def _shift(box: Float[Tensor, " 4"], canvas: Sequence[int], drawn: Paste) -> tuple[int, int]:
    """Rows and columns to move an object by, so that all of its box stays on the canvas."""
    x0, y0, x1, y1 = (round(value) for value in box.tolist())
    down = round(drawn.down * max(0, canvas[0] - (y1 - y0))) - y0
    across = round(drawn.across * max(0, canvas[1] - (x1 - x0))) - x0
    return down, across


def moved(values: Tensor, shift: tuple[int, int]) -> Tensor:
    """Move the last two axes by rows and columns; what comes in is 0 or False."""
    out = torch.zeros_like(values)
    (to_y, from_y), (to_x, from_x) = (
        _ends(by, size) for by, size in zip(shift, values.shape[-2:], strict=True)
    )
    out[..., to_y, to_x] = values[..., from_y, from_x]
    return out


def _ends(by: int, size: int) -> tuple[slice, slice]:
    return slice(max(0, by), size + min(0, by)), slice(max(0, -by), size - max(0, by))


def _beneath(ours: Annotations, mask: Bool[Tensor, "H W"]) -> Annotations:
    """Return the annotations of what is still seen; keypoints under the mask are hidden."""
    assert ours.masks is not None
    masks = ours.masks & ~mask
    before, left = (planes.flatten(1).sum(1).float() for planes in (ours.masks, masks))
    touched, keep = left < before, left >= LEFT * before
    boxes = torch.where((touched & (left > 0))[:, None], tight(masks), ours.boxes)
    keypoints = ours.keypoints
    if keypoints is not None:
        keypoints = keypoints.clone()
        x, y = keypoints[..., 0].long(), keypoints[..., 1].long()
        covered = mask[y.clamp(0, mask.shape[0] - 1), x.clamp(0, mask.shape[1] - 1)] & (
            keypoints[..., 2] == 2
        )
        keypoints[..., 2][covered] = 1
    return replace(
        ours,
        boxes=boxes[keep],
        labels=ours.labels[keep],
        masks=masks[keep],
        keypoints=None if keypoints is None else keypoints[keep],
        is_crowd=ours.is_crowd[keep],
        areas=torch.where(touched, left, ours.areas)[keep],
        ids=ours.ids[keep],
    )


def _row(theirs: Annotations, row: int, mask: Bool[Tensor, "H W"], shift: tuple[int, int]) -> Annotations:
    """Return one object at its new place."""
    down, across = shift
    keypoints = theirs.keypoints
    if keypoints is not None:
        keypoints = keypoints[row : row + 1].clone()
        keypoints[..., :2] += (keypoints[..., 2:] > 0) * keypoints.new_tensor([across, down])
    return replace(
        theirs,
        boxes=theirs.boxes[row : row + 1] + theirs.boxes.new_tensor([across, down, across, down]),
        labels=theirs.labels[row : row + 1],
        masks=mask[None],
        keypoints=keypoints,
        is_crowd=theirs.is_crowd[row : row + 1],
        areas=theirs.areas[row : row + 1],
        ids=theirs.ids[row : row + 1],
    )


def _joined(
    ours: Annotations, added: Annotations, maps: dict[str, Tensor], mask: Bool[Tensor, "H W"]
) -> Annotations:
    """Return the annotations of an image with those of an object behind its own."""
    assert ours.masks is not None
    assert added.masks is not None
    keypoints = ours.keypoints
    if keypoints is not None and added.keypoints is not None:
        keypoints = torch.cat([keypoints, added.keypoints])
    return replace(
        ours,
        boxes=torch.cat([ours.boxes, added.boxes]),
        labels=torch.cat([ours.labels, added.labels]),
        masks=torch.cat([ours.masks, added.masks]),
        keypoints=keypoints,
        is_crowd=torch.cat([ours.is_crowd, added.is_crowd]),
        areas=torch.cat([ours.areas, added.areas]),
        ids=torch.cat([ours.ids, added.ids]),
        maps={name: torch.where(mask, maps[name], values) for name, values in ours.maps.items()},
    )
