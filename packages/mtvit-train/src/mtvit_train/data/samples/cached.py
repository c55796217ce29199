"""Samples whose context tokens are known: a fixed number of views of each image, without its pixels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import Dataset

from mtvit_train.data.packed import Key
from mtvit_train.data.samples.images import ImageDataset, Sample
from mtvit_train.data.samples.persons import PersonDataset


@runtime_checkable
class Tokens(Protocol):
    """Context tokens S D of samples, by block."""

    def __getitem__(self, number: int) -> Mapping[int, Tensor]:
        """Return those of a sample."""
        ...


class CachedSamples(Dataset[Sample]):
    """The samples of the first epochs of another data set, again and again.

    View v of a sample is what epoch v shows; epoch e shows view e mod V.
    """

    def __init__(
        self, samples: ImageDataset | PersonDataset, views: int, tokens: Tokens, *, pixels: bool
    ) -> None:
        """Keep both.

        Args:
            samples: Where labels come from.
            views: Views V of each image.
            tokens: Of sample ``index * V + v``.
            pixels: Whether anybody looks at the pixels: a teacher, or transforms of plugins.
        """
        self.samples, self.views, self.tokens, self.pixels = samples, views, tokens, pixels

    def __len__(self) -> int:
        """Return the number of images or crops."""
        return len(self.samples)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of them in each data set."""
        return self.samples.sizes

    def image_of(self, index: int) -> int:
        """Return the place of the image that a sample is of."""
        return self.samples.image_of(index)

    def __getitem__(self, key: Key) -> Sample:
        """Load the labels of one view, and its tokens.

        Args:
            key: Epoch, and index of the image or crop.
        """
        epoch, index = key
        view = epoch % self.views
        sample = self.samples[view, index] if self.pixels else self.samples.unseen((view, index))
        return replace(sample, known=self.tokens[index * self.views + view])
