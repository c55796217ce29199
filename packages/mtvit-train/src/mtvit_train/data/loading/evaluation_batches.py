"""Which batches of an evaluation a process sees: whole images, each in one process only."""

from collections.abc import Callable

from mtvit_train.data.packed import Key
from mtvit_train.data.samples.cached import CachedSamples
from mtvit_train.data.samples.detected_persons import DetectedPersons
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.data.samples.persons import PersonDataset


def portion(
    dataset: ImageDataset | PersonDataset | DetectedPersons | CachedSamples,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    scores: Callable[[int], bool] = lambda image: True,
) -> list[list[Key]]:
    """Return the batches of one process; those of all processes are the ones that a single one would see.

    Crops of one image follow each other, so a round of batches ends with the last crop of an image.

    Args:
        dataset: Images or crops.
        batch_size: Most of them in a batch.
        rank: Number of the process.
        world: Number of processes.
        scores: Tells whether an image is among those that are looked at.
    """
    rounds: list[list[Key]] = []
    last = None
    for index in range(len(dataset)):
        image = dataset.image_of(index)
        if not scores(image):
            continue
        if image != last and (not rounds or len(rounds[-1]) >= batch_size):
            rounds.append([])
        rounds[-1].append((0, index))
        last = image
    return [
        keys[start : start + batch_size]
        for keys in rounds[rank::world]
        for start in range(0, len(keys), batch_size)
    ]
