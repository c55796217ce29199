"""Images that look alike, as frames of a film or copies of a photograph do; a split keeps them together.

    dHash    grey, shrunk to 8 rows x 9 columns: bit (i, j) = g(i, j + 1) > g(i, j); the same with rows and
             columns swapped: 128 bits in all

Source: the difference hash of Krawetz 2013 ("Kind of Like That"), here along both axes.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, Real
from numpy import ndarray
from PIL import Image

from mtvit_train.data.formats.documents.image_entries import ImageEntry

#: Two images look alike where at most this many of the 128 bits of their dHash differ.
ALIKE = 6
#: Above this share of all images in one group, looks tell nothing: all are frames of one camera that stands.
_MOST = 0.5
_THREADS = 4


def look_alikes(folder: Path, images: Mapping[int, ImageEntry], notes: list[str]) -> dict[int, int]:
    """Group images that look alike, directly or by others between them.

    Args:
        folder: Where they lie.
        images: By id; those that cannot be read are alone.
        notes: Given a line where groups are found, or where they are of no use.

    Returns:
        For images that are alike, the first one of their group.
    """
    ids = [number for number, image in images.items() if (folder / image.file_name).is_file()]
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = list(pool.map(_look, [folder / images[number].file_name for number in ids]))
    seen = [(number, look) for number, look in zip(ids, looks, strict=True) if look is not None]
    if not seen:
        return {}
    firsts = _groups(np.stack([look for _, look in seen]))
    groups = {seen[i][0]: seen[first][0] for i, first in enumerate(firsts.tolist())}
    sizes = np.bincount(firsts)
    together = int(sizes[sizes > 1].sum())
    if sizes.max() > max(1.0, _MOST * len(images)):
        notes.append(
            f"{folder}: {sizes.max()} of {len(images)} images look alike, so train and val hold images of "
            "one scene, and scores on val say little of others; better name a val split of its own."
        )
        return {}
    if together:
        notes.append(f"{folder}: {together} images look like others; such groups are not split.")
    return {number: first for number, first in groups.items() if number != first}


def _look(path: Path) -> Bool[ndarray, " bits"] | None:
    """Return the dHash of an image, read as small as its format allows; None where it cannot be read."""
    try:
        with Image.open(path) as image:
            image.draft("L", (64, 64))
            grey = image.convert("L")
            across = np.asarray(grey.resize((9, 8), Image.Resampling.BOX)).astype(np.int16)
            down = np.asarray(grey.resize((8, 9), Image.Resampling.BOX)).astype(np.int16).T
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # it is told where images are read in earnest
    return bits_of(across, down)


def bits_of(across: Real[ndarray, "8 9"], down: Real[ndarray, "8 9"]) -> Bool[ndarray, " bits"]:
    """Return the 128 bits of two shrunk images, the second one of the columns as rows."""
    return np.concatenate([(small[:, 1:] > small[:, :-1]).ravel() for small in (across, down)])


def _groups(looks: Bool[ndarray, "I bits"]) -> Int64[ndarray, " I"]:
    """Return the first image of the group of each image.

    Of ``ALIKE + 1`` parts of two hashes that differ in ``ALIKE`` bits, one is equal, so only images with an
    equal part are compared.
    """
    first = np.arange(len(looks))
    for part in np.array_split(np.arange(looks.shape[1]), ALIKE + 1):
        buckets: dict[bytes, list[int]] = {}
        for i, look in enumerate(np.packbits(looks[:, part], axis=1)):
            buckets.setdefault(look.tobytes(), []).append(i)
        for members in map(np.array, buckets.values()):
            for place, i in enumerate(members.tolist()):
                others = members[place + 1 :]
                others = others[first[others] != first[i]]
                near = others[(looks[others] != looks[i]).sum(1) <= ALIKE]
                if len(near):
                    joined = np.append(first[near], first[i])
                    first[np.isin(first, joined)] = joined.min()
    return first
