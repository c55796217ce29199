"""Every image file is read once: whether it can be, whether its size is right, and what it looks like."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.formats.documents.look_alikes import bits_of
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.doctor.odd_images import Raw, look_inside


@dataclass(frozen=True)
class Print:
    """What an image is known by.

    Attributes:
        file_name: Of the image.
        digest: SHA-256 of the file's bytes.
        look: Its dHash.
        raw: What its file says beside the pixels.
    """

    file_name: str
    digest: str
    look: Bool[ndarray, " bits"]
    raw: Raw


def look_at(image: UInt8[Tensor, "3 H W"]) -> Bool[ndarray, " bits"]:
    """Return the dHash of an image, 128 bits; see ``look_alikes``."""
    grey = image.float().mean(0)[None, None]
    across, down = (
        F.interpolate(upright, size=(8, 9), mode="area")[0, 0].numpy()
        for upright in (grey, grey.transpose(2, 3))
    )
    return bits_of(across, down)


def read_images(
    packed: PackedAnnotations, faults: Faults, workers: int, advance: Callable[[], None]
) -> list[Print]:
    """Read all images, dense labels and segments of a split.

    Args:
        packed: The split.
        faults: What to do at an image that cannot be read, or is of another size than annotated.
        workers: Threads that read.
        advance: Called after each image.
    """
    images = ImageDataset(packed, Letterbox(16, 16))
    prints: list[Print] = []

    def read(index: int) -> Print:
        record = packed.image(index)
        look = look_at(images.image(index))
        with record.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        packed.dense(index, record.has)
        packed.segments(index)
        return Print(record.file_name, digest, look, look_inside(record.path))

    with ThreadPoolExecutor(workers) as pool:
        for waiting in [pool.submit(read, index) for index in range(len(packed))]:
            with faults:
                prints.append(waiting.result())
            advance()
    return prints
