"""Pixel decoders: finer maps than patches, made once for all dense tasks that read them.

z = decoder(x_i, ..., x_L)        once in a pass
y_t = head_t(z)                   for every task t that asked for this decoder
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mtvit_core.backbones.interface import BackboneSpec


@dataclass(frozen=True)
class DecoderRequest(ABC):
    """A decoder that a task wants; tasks of a model whose requests are equal share one.

    A subclass is a frozen dataclass too, whose fields are what the decoder depends on.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the decoder in the model, one word that tells all fields apart: ``fuse_64``."""

    @abstractmethod
    def depths(self, backbone: BackboneSpec) -> Sequence[int]:
        """Return the depths below the output that it reads in ``Features.inner``."""

    @abstractmethod
    def build(self, backbone: BackboneSpec) -> nn.Module:
        """Return the decoder, fresh: a module ``forward(features: Features)`` that gives a map B D h w."""
