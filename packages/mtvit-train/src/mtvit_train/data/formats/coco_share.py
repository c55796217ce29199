"""One file split in two: a share of its images is for validation, the same share whoever reads them."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from types import MappingProxyType

from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.documents.image_entries import ImageEntry

#: What Roboflow adds to the name of each augmented copy of an image.
_COPY = re.compile(r"\.rf\.[0-9a-zA-Z]+$")


def split_by_share(
    images: dict[int, ImageEntry],
    split: SplitName,
    share: float,
    seed: int,
    alike: Mapping[int, int] = MappingProxyType({}),
) -> dict[int, ImageEntry]:
    """Return the images of one split; copies of an image, and images that look alike, stay together.

    Images are ranked by a hash of seed and name, so their order in the file does not matter.

    Args:
        images: Images by id.
        split: Which part.
        share: Share of the groups of copies that is for validation; at least one group stays for each split
            where there are two.
        seed: Another one ranks them otherwise.
        alike: For images that look like others: the first image of their group.
    """
    named = {number: images[alike.get(number, number)].file_name for number in images}
    group = {number: _COPY.sub("", PurePosixPath(name).stem) for number, name in named.items()}
    ranked = sorted(set(group.values()), key=lambda name: sha256(f"{seed} {name}".encode()).digest())
    count = min(max(1, round(share * len(ranked))), max(1, len(ranked) - 1))
    val = set(ranked[:count])
    return {number: image for number, image in images.items() if (group[number] in val) == (split == "val")}
