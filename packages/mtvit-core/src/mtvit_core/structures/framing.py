"""The way from original images to the canvas a model sees, and back: the framings of whole images.

Coordinates are continuous: pixel i covers [i, i + 1). An affine map is written x' = a x + b y + c, y' = d x +
e y + f.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import ConfigError
from mtvit_core.structures.canvases.fitted import fitted

Size = tuple[int, int]
Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ImageMeta:
    """Where a canvas comes from.

    Attributes:
        height: Rows of the original image.
        width: Columns of the original image.
        content: Rows and columns of the canvas, from its top left, that hold the image; the rest is padding.
        to_original: Affine map from canvas to original coordinates.
        image_id: Id in the data set, 0 where there is none.
        file_name: Name to report, empty where there is none.
        box: For a crop of one person: the person's box x0 y0 x1 y1 in original pixels; None for whole images.
        box_score: Score of that box; 1 for annotated boxes and whole images.
    """

    height: int
    width: int
    content: tuple[int, int]
    to_original: Affine
    image_id: int = 0
    file_name: str = ""
    box: tuple[float, float, float, float] | None = None
    box_score: float = 1.0

    @classmethod
    def whole(cls, height: int, width: int, image_id: int = 0, file_name: str = "") -> "ImageMeta":
        """Return the meta of an original image that is its own canvas."""
        return cls(height, width, (height, width), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), image_id, file_name)

    def boxes_to_original(self, boxes: Float[Tensor, "M 4"]) -> Float[Tensor, "M 4"]:
        """Map xyxy boxes from the canvas to the original image and clip them to it (whole images)."""
        corners = self.points_to_original(boxes.reshape(-1, 2)).reshape(-1, 4)
        limit = corners.new_tensor([self.width, self.height, self.width, self.height])
        return corners.clamp(min=0).minimum(limit)

    def points_to_original(self, points: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 2"]:
        """Map x y points from the canvas to the original image, unclipped."""
        a, b, c, d, e, f = self.to_original
        linear = points.new_tensor([[a, d], [b, e]])
        return points @ linear + points.new_tensor([c, f])

    def masks_to_original(self, logits: Float[Tensor, "Q H W"]) -> Float[Tensor, "Q H2 W2"]:
        """Cut the padding off mask logits at canvas size and resize them to the original image (bilinear)."""
        rows, columns = self.content
        cut = logits[None, :, :rows, :columns]
        return F.interpolate(cut, size=(self.height, self.width), mode="bilinear", align_corners=False)[0]


#: How pixels between those of the image are found; ``nearest`` is torchvision's ``NEAREST_EXACT``.
Resample = Literal["bilinear", "bicubic", "nearest"]


def resize(
    image: UInt8[Tensor, "3 H0 W0"], size: Size, resample: Resample = "bilinear"
) -> UInt8[Tensor, "3 H W"]:
    """Resize an image, smoothed where it shrinks.

    Args:
        image: RGB, 0 to 255.
        size: Rows H and columns W.
        resample: How.
    """
    from torchvision.transforms.v2 import InterpolationMode  # here: slow to import
    from torchvision.transforms.v2 import functional as vision

    mode = InterpolationMode("nearest-exact" if resample == "nearest" else resample)
    # Stays uint8 where the processor can: several times faster than by way of floats.
    resized: Tensor = vision.resize(image, list(size), interpolation=mode, antialias=True)
    return resized


@dataclass(frozen=True)
class Letterbox:
    """Resize an image to fit a canvas, keeping its aspect, and pad it right and below with zeros.

    Attributes:
        height: Rows of the canvas.
        width: Columns of the canvas.
        resample: How pixels are found.
    """

    height: int
    width: int
    resample: Resample = "bilinear"

    def canvas(self, height: int, width: int) -> Size:
        """Return rows and columns of the canvas, the same for every image."""
        return self.height, self.width

    def content(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size fills."""
        return fitted(height, width, (self.height, self.width))

    def resized(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size is resized to."""
        return self.content(height, width)

    def meta(self, height: int, width: int, image_id: int = 0, file_name: str = "") -> ImageMeta:
        """Return the way back from the canvas for an original image of this size."""
        return _resized((height, width), self.content(height, width), image_id, file_name)

    def apply(self, image: Tensor) -> Tensor:
        """Resize and pad one uint8 image 3 H W to the canvas."""
        rows, columns = self.content(*image.shape[-2:])
        image = resize(image, (rows, columns), self.resample)
        return F.pad(image, (0, self.width - columns, 0, self.height - rows))


class Filling(ABC):
    """Resize an image; its canvas is just as large, but for rows and columns that fill no patch (YOLOS).

    The canvas counts as the whole image: what is cut off, less than a patch on each side, moves nothing.

    Attributes:
        multiple: What both sides of the canvas are multiples of.
        resample: How pixels are found.
    """

    multiple: int
    resample: Resample

    @abstractmethod
    def resized(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size is resized to."""

    def canvas(self, height: int, width: int) -> Size:
        """Return rows and columns of the canvas of an image of this size; the image fills it."""
        return self.content(height, width)

    def content(self, height: int, width: int) -> Size:
        """Return rows and columns of the canvas."""
        rows, columns = self.resized(height, width)
        return _whole(rows, self.multiple), _whole(columns, self.multiple)

    def meta(self, height: int, width: int, image_id: int = 0, file_name: str = "") -> ImageMeta:
        """Return the way back from the canvas for an original image of this size."""
        return _resized((height, width), self.content(height, width), image_id, file_name)

    def apply(self, image: UInt8[Tensor, "3 H0 W0"]) -> UInt8[Tensor, "3 H W"]:
        """Resize one image, and cut off what fills no patch."""
        size = self.resized(*image.shape[-2:])
        rows, columns = self.content(*image.shape[-2:])
        shown = image if size == tuple(image.shape[-2:]) else resize(image, size, self.resample)
        return shown[:, :rows, :columns]


@dataclass(frozen=True)
class ShortSide(Filling):
    """Resize an image by its short side; both sides are rounded down to a multiple.

    Attributes:
        short: Pixels of the short side.
        cap: Most pixels of the long side; the short side gives way.
        multiple: What both sides are multiples of.
        resample: How pixels are found.
        capped: Whether a short side that gives way enters the long one ``exact``, as in transformers, or
            ``rounded`` to a pixel, as in the code of YOLOS's authors.
    """

    short: int
    cap: int
    multiple: int
    resample: Resample = "bilinear"
    capped: Literal["exact", "rounded"] = "exact"

    def resized(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size is resized to."""
        least, most = min(height, width), max(height, width)
        short: float = self.short
        if most / least * short > self.cap:
            short = self.cap * least / most
        side, exact = round(short), self.capped == "exact"
        # Transformers looks whether nothing is to be done only where the image is not upright.
        is_kept = least == side and not (exact and height > width)
        long = most if is_kept else int((short if exact else side) * most / least)
        rows, columns = (side, long) if height <= width else (long, side)
        return _whole(rows, self.multiple), _whole(columns, self.multiple)


@dataclass(frozen=True)
class Inside(Filling):
    """Resize an image so that it just fits into a box, keeping its aspect; sides are truncated.

    Attributes:
        height: Rows of the box.
        width: Columns of the box.
        multiple: What both sides of the canvas are multiples of.
        resample: How pixels are found.
    """

    height: int
    width: int
    multiple: int
    resample: Resample = "bilinear"

    def resized(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size is resized to."""
        scale = min(self.height / height, self.width / width)
        return max(self.multiple, int(height * scale)), max(self.multiple, int(width * scale))


@dataclass(frozen=True)
class Stretch(Filling):
    """Resize every image to the same rows and columns, whatever its aspect.

    Attributes:
        height: Rows.
        width: Columns.
        multiple: What both sides of the canvas are multiples of.
        resample: How pixels are found.
    """

    height: int
    width: int
    multiple: int
    resample: Resample = "bilinear"

    def resized(self, height: int, width: int) -> Size:
        """Return rows and columns that every image is resized to."""
        return max(self.multiple, self.height), max(self.multiple, self.width)


@dataclass(frozen=True)
class OwnSize(Filling):
    """Leave every image at its size; a side below ``multiple`` is stretched to it.

    Attributes:
        multiple: What both sides of the canvas are multiples of.
        resample: How pixels of a stretched image are found.
    """

    multiple: int
    resample: Resample = "bilinear"

    def resized(self, height: int, width: int) -> Size:
        """Return the rows and columns of the image."""
        return max(self.multiple, height), max(self.multiple, width)


#: How whole images come onto a canvas.
Framing = Letterbox | ShortSide | Inside | Stretch | OwnSize
_FRAMINGS: dict[str, type[Framing]] = {
    "letterbox": Letterbox,
    "short_side": ShortSide,
    "inside": Inside,
    "stretch": Stretch,
    "own_size": OwnSize,
}


def framing_to_json(framing: Framing) -> dict[str, Any]:
    """Return plain data that ``framing_from_json`` reads back."""
    kind = next(name for name, cls in _FRAMINGS.items() if isinstance(framing, cls))
    return {"kind": kind, **asdict(framing)}


def framing_from_json(data: dict[str, Any]) -> Framing:
    """Build a framing from what ``framing_to_json`` returned.

    Raises:
        ConfigError: this version knows no such framing.
    """
    kind, values = data.get("kind"), {key: value for key, value in data.items() if key != "kind"}
    try:
        return _FRAMINGS[str(kind)](**values)
    except (KeyError, TypeError):
        raise ConfigError(
            f"framing: {data} is not known here; known are {', '.join(_FRAMINGS)}, with their own settings."
        ) from None


def _whole(side: int, multiple: int) -> int:
    return max(multiple, side - side % multiple)


def _resized(original: Size, content: Size, image_id: int, file_name: str) -> ImageMeta:
    """The way back from an image that was resized to fill the top left of its canvas."""
    to_original = (original[1] / content[1], 0.0, 0.0, 0.0, original[0] / content[0], 0.0)
    return ImageMeta(*original, content, to_original, image_id, file_name)
