"""Samples for the evaluation of top-down tasks: one crop per person that some detector found."""

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from mtvit_core.errors import DataError
from mtvit_core.structures.canvases.crops import CropRule, crop_person, person_meta
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.packed import Key, PackedAnnotations
from mtvit_train.data.samples.images import ImageDataset, Sample


class DetectedPersons(Dataset[Sample]):
    """The people of one split as boxes with scores; crops of one image follow each other."""

    def __init__(
        self,
        packed: PackedAnnotations,
        canvas: Letterbox,
        boxes: Sequence[Float[Tensor, "_ 5"]],
        crop: CropRule = "udp",
    ) -> None:
        """Keep what defines the samples.

        Args:
            packed: Images and annotations; the latter are only scored against.
            canvas: Rows and columns of a crop.
            boxes: x0 y0 x1 y1 and score of the people of each image, in original pixels.
            crop: How crops lie around a box.

        Raises:
            DataError: there are no people at all.
        """
        self.packed, self.canvas, self.crop = packed, (canvas.height, canvas.width), crop
        self.images = ImageDataset(packed, canvas)
        self.people = [(i, row) for i, rows in enumerate(boxes) for row in rows.tolist()]
        if not self.people:
            raise DataError(
                f"{packed.folder}: the boxes show no people in any of its {len(packed)} images, so there is "
                "nothing to crop; check their categories."
            )

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.people)

    def image_of(self, index: int) -> int:
        """Return the place of the image that a box is in."""
        return self.people[index][0]

    def __getitem__(self, key: Key) -> Sample:
        """Load one sample.

        Args:
            key: Epoch, which changes nothing, and index of the person.

        Raises:
            DataError: the image cannot be read, or is not of the size that the annotations state.
            ShapeError: the box is reversed or not finite.
        """
        image, (x0, y0, x1, y1, score) = self.people[key[1]]
        record = self.packed.image(image)
        place = person_meta((x0, y0, x1, y1), record.height, record.width, self.canvas, rule=self.crop)
        meta = replace(place, image_id=record.image_id, file_name=record.file_name, box_score=score)
        crop = crop_person(self.images.image(image), meta, self.canvas)
        return Sample(crop, self.packed.original(image, frozenset()), meta)
