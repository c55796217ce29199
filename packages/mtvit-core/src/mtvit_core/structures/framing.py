"""The way from original images to the canvas a model sees, and back: two framings of whole images.

Coordinates are continuous: pixel i covers [i, i + 1). An affine map is written x' = a x + b y + c, y' = d x +
e y + f.
"""

from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import ConfigError

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


@dataclass(frozen=True)
class Letterbox:
    """Resize an image to fit a canvas, keeping its aspect, and pad it right and below with zeros.

    Attributes:
        height: Rows of the canvas.
        width: Columns of the canvas.
    """

    height: int
    width: int

    def canvas(self, height: int, width: int) -> Size:
        """Return rows and columns of the canvas, the same for every image."""
        return self.height, self.width

    def content(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size fills; each side rounded, at least one pixel."""
        scale = min(self.height / height, self.width / width)
        return (
            min(self.height, max(1, round(height * scale))),
            min(self.width, max(1, round(width * scale))),
        )

    def meta(self, height: int, width: int, image_id: int = 0, file_name: str = "") -> ImageMeta:
        """Return the way back from the canvas for an original image of this size."""
        return _resized((height, width), self.content(height, width), image_id, file_name)

    def apply(self, image: Tensor) -> Tensor:
        """Resize and pad one uint8 image 3 H W (antialiased bilinear) to the canvas."""
        from torchvision.transforms.v2 import functional as vision  # here: slow to import

        rows, columns = self.content(*image.shape[-2:])
        # Stays uint8 where the processor can: several times faster than by way of floats.
        image = vision.resize(image, [rows, columns], antialias=True)
        return F.pad(image, (0, self.width - columns, 0, self.height - rows))


@dataclass(frozen=True)
class ShortSide:
    """Resize an image by its short side; its canvas is just as large, so images differ in theirs (YOLOS).

    Both sides are cut down to a multiple, which changes the aspect a little.

    Attributes:
        short: Pixels of the short side.
        cap: Most pixels of the long side; the short side gives way.
        multiple: What both sides are multiples of.
    """

    short: int
    cap: int
    multiple: int

    def canvas(self, height: int, width: int) -> Size:
        """Return rows and columns of the canvas of an image of this size; the image fills it."""
        return self.content(height, width)

    def content(self, height: int, width: int) -> Size:
        """Return rows and columns that an image of this size is resized to.

        The capped short side enters the long side unrounded, as in the published processors.
        """
        least, most = min(height, width), max(height, width)
        short: float = self.short
        if most / least * short > self.cap:
            short = self.cap * least / most
        sides = (round(short), self._long(short, least, most))
        rows, columns = sides if height <= width else sides[::-1]
        return self._fitted(rows), self._fitted(columns)

    def _long(self, short: float, least: int, most: int) -> int:
        return most if least == round(short) else int(short * most / least)

    def _fitted(self, side: int) -> int:
        return max(self.multiple, side - side % self.multiple)

    def meta(self, height: int, width: int, image_id: int = 0, file_name: str = "") -> ImageMeta:
        """Return the way back from the canvas for an original image of this size."""
        return _resized((height, width), self.content(height, width), image_id, file_name)

    def apply(self, image: UInt8[Tensor, "3 H0 W0"]) -> UInt8[Tensor, "3 H W"]:
        """Resize one image (antialiased bilinear) to its canvas."""
        from torchvision.transforms.v2 import functional as vision  # here: slow to import

        resized: Tensor = vision.resize(image, list(self.content(*image.shape[-2:])), antialias=True)
        return resized


#: How whole images come onto a canvas.
Framing = Letterbox | ShortSide
_FRAMINGS: dict[str, type[Letterbox] | type[ShortSide]] = {"letterbox": Letterbox, "short_side": ShortSide}


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


def _resized(original: Size, content: Size, image_id: int, file_name: str) -> ImageMeta:
    """The way back from an image that was resized to fill the top left of its canvas."""
    to_original = (original[1] / content[1], 0.0, 0.0, 0.0, original[0] / content[0], 0.0)
    return ImageMeta(*original, content, to_original, image_id, file_name)
