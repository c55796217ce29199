"""The pixel decoders of a model: each is made once, run once in a pass, and read by several tasks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import PluginError
from mtvit_core.heads.pixel_decoder import DecoderRequest
from mtvit_core.model.assembly import building
from mtvit_core.tasks.task import AnyTask

#: First part of the keys of their weights.
PREFIX = "decoders."
_WORD = re.compile(r"\w+")


class Decoders(nn.ModuleDict):
    """Pixel decoders by name.

    Attributes:
        readers: Name of the decoder that a task reads, by the name of the task.
        reads: Depths below the output that each of them reads, by its name.
    """

    def __init__(self, tasks: Sequence[AnyTask], backbone: BackboneSpec) -> None:
        """Build what the tasks ask for; equal requests are one decoder.

        Args:
            tasks: Those that see whole images.
            backbone: What a decoder may know about the backbone.

        Raises:
            PluginError: a task asks for something that is none, or two different decoders have one name.
        """
        super().__init__()
        self.readers: dict[str, str] = {}
        requests: dict[str, DecoderRequest] = {}
        self.reads: dict[str, tuple[int, ...]] = {}
        for task in tasks:
            request = _request_of(task, backbone)
            if request is None:
                continue
            first = requests.setdefault(request.name, request)
            if first != request:
                raise PluginError(
                    f"task {task.name!r}: its decoder {request.name!r} is another one than that of the same "
                    "name in the model; let the name tell all settings apart."
                )
            self.readers[task.name] = request.name
            if request.name not in self:
                with building(type(task), "pixel_decoder"):
                    self[request.name] = request.build(backbone)
                    self.reads[request.name] = _checked(task, request.depths(backbone), backbone)

    def depths(self, tasks: Iterable[str]) -> tuple[int, ...]:
        """Return the depths below the output that the decoders of some tasks read."""
        read = {self.readers[task] for task in tasks if task in self.readers}
        return tuple(sorted({depth for name in read for depth in self.reads[name]}))

    def forward(self, features: Features, tasks: Sequence[str]) -> dict[str, Float[Tensor, "B D h w"]]:
        """Return the map of every decoder of some tasks by its name."""
        read = {self.readers[task] for task in tasks if task in self.readers}
        return {name: decoder(features) for name, decoder in self.items() if name in read}

    def seen_by(
        self, task: str, features: Features, decoded: Mapping[str, Float[Tensor, "B D h w"]]
    ) -> Features:
        """Return the features as a task sees them: with the map of its decoder, and without what others read.

        Args:
            task: Its name.
            features: Of the backbone.
            decoded: What ``forward`` returned.
        """
        if task not in self.readers:
            return replace(features, inner={}) if features.inner else features
        return replace(features, decoded=decoded[self.readers[task]])

    def adopt(self, others: "Decoders") -> None:
        """Use the weights of another model's decoders, where it has the same."""
        for name in self.keys() & others.keys():
            self[name] = others[name]


def _request_of(task: AnyTask, backbone: BackboneSpec) -> DecoderRequest | None:
    with building(type(task), "pixel_decoder"):
        request = task.pixel_decoder(backbone)
        if request is not None and not isinstance(request, DecoderRequest):
            raise TypeError(f"its result {request!r} is no DecoderRequest")
        if request is not None and not _WORD.fullmatch(request.name):
            raise ValueError(f"its name {request.name!r} is not one word")
    return request


def _checked(task: AnyTask, depths: Sequence[int], backbone: BackboneSpec) -> tuple[int, ...]:
    bad = [depth for depth in depths if not 0 <= depth < backbone.depth]
    if bad:
        raise PluginError(
            f"task {task.name!r}: its decoder reads depth {bad[0]}; depths below the output run from 0 to "
            f"{backbone.depth - 1}."
        )
    return tuple(depths)
