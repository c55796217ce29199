"""A backbone that is as large as its space allows, and runs as any candidate of it.

Source: Chen et al. 2021 (AutoFormer), weight entanglement; Yu et al. 2020 (BigNAS).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.recipe import Recipe
from mtvit_core.backbones.elastic.skeleton import Skeleton
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, Option
from mtvit_core.backbones.known_context import KnownContext
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import ConfigError, PluginError

T = TypeVar("T")
#: Candidates that are kept built.
KEPT = 8


class ElasticBackbone(Backbone):
    """A supernet's trunk: its weights are those of the largest network, an ordinary backbone.

    What tasks know of it, ``spec``, is that of the largest, whatever the genome.

    Attributes:
        largest: The network that holds all weights.
        recipe: Makes ordinary backbones of any shape of the space.
    """

    def __init__(self, name: str, options: Mapping[str, Option], largest: Backbone, recipe: Recipe) -> None:
        """Begin as the largest network.

        Args:
            name: Its name.
            options: Its options.
            largest: The network of the largest genome.
            recipe: What makes the others.
        """
        super().__init__(name, options, largest.spec, (0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", largest.mean.clone(), persistent=False)
        self.register_buffer("std", largest.std.clone(), persistent=False)
        self.largest, self.recipe = largest, recipe
        self.block_method = largest.block_method
        self._genome = recipe.space.largest
        self._skeletons: OrderedDict[Genome, Skeleton] = OrderedDict()

    @property
    def space(self) -> Space:
        """The shapes that it can run as."""
        return self.recipe.space

    @property
    def genome(self) -> Genome:
        """The shape that it runs as; another may be set.

        Raises:
            ConfigError: the space does not hold it.
        """
        return self._genome

    @genome.setter
    def genome(self, genome: Genome) -> None:
        self.space.check(genome)
        self._genome = genome

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run as the genome says, see ``Backbone.forward``.

        Raises:
            ShapeError: the patch size does not divide the image.
        """

        def call(backbone: Backbone) -> Features:
            found: Features = backbone(images, groups, maskers, patches, proposals, depths)
            return found

        return self._run(call)

    def context(self, images: UInt8[Tensor, "B 3 H W"], depths: Sequence[int]) -> dict[int, Tensor]:
        """Return the context of the genome's network, see ``Backbone.context``.

        Raises:
            ConfigError: the inner family does not offer it.
        """
        return self._run(lambda backbone: backbone.context(images, depths))

    def forward_known(
        self,
        known: KnownContext,
        canvas: tuple[int, int],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run on what ``context`` gave with the same genome, see ``Backbone.forward_known``.

        Raises:
            ConfigError: the inner family does not offer it.
        """
        return self._run(
            lambda backbone: backbone.forward_known(
                known, canvas, groups, maskers, patches, proposals, depths
            )
        )

    def _run(self, call: Callable[[Backbone], T]) -> T:
        if self.genome == self.space.largest:
            self.largest.precision, self.largest.checkpointing = self.precision, self.checkpointing
            return call(self.largest)
        if self.genome not in self._skeletons:
            self._skeletons[self.genome] = Skeleton.empty(self.largest, lambda: self._made(self.genome))
        self._skeletons.move_to_end(self.genome)
        if len(self._skeletons) > KEPT:
            self._skeletons.popitem(last=False)
        return self._skeletons[self.genome].run(self, call)

    def _made(self, genome: Genome) -> Backbone:
        """An ordinary backbone of a shape, of which tasks know what they know of the supernet."""
        made = self.recipe.make(genome)
        if made.spec != self.spec:
            raise PluginError(
                f"backbone {self.name!r}: its family is broken: with the genome {str(genome)!r} its spec is "
                f"{made.spec}, not {self.spec}; let `shaped` and `token_width` keep what tasks know."
            )
        return made

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks of the largest network."""
        return self.largest.blocks()

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight of the largest network lies."""
        return self.largest.depth_of(_inner(parameter))

    def decays(self, parameter: str) -> bool:
        """Tell what the largest network tells."""
        return self.largest.decays(_inner(parameter))

    def parts_of(self, tensor: str) -> int:
        """Tell what the largest network tells."""
        return self.largest.parts_of(_inner(tensor))

    def freeze(self, blocks: int) -> None:
        """Freeze first blocks of every candidate, see ``Backbone.freeze``."""
        self.largest.freeze(blocks)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the largest network."""
        return self.largest.weights()

    def compile_blocks(self) -> None:
        """Compile the blocks of the largest network; the others run as they are, being too many."""
        self.largest.compile_blocks()

    @torch.no_grad()
    def cut_out(self, genome: Genome) -> Backbone:
        """Return the ordinary backbone that it runs as with a genome, with copies of the weights.

        Args:
            genome: A shape of the space.

        Raises:
            ConfigError: the space does not hold it.
        """
        self.space.check(genome)
        made = self._made(genome).to(self.mean.device)
        made.precision = self.precision
        Skeleton(self.largest, made).fill()
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is built anew when it is run."""
        return {**self.__dict__, "_skeletons": OrderedDict()}


def elastic(backbone: Backbone, where: str) -> ElasticBackbone:
    """Return a backbone, if it is that of a supernet.

    Args:
        backbone: The backbone.
        where: What asks, for the message.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(backbone, ElasticBackbone):
        raise ConfigError(
            f"{where}: the backbone {backbone.name!r} is no supernet; take one, as "
            "'elastic:vit_small_patch16_224'."
        )
    return backbone


def _inner(name: str) -> str:
    return name.removeprefix("largest.")
