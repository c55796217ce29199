"""What every backbone is to the rest of mtvit, whatever family it is of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.known_context import NOTHING_KNOWN, KnownContext
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import ConfigError, MtvitError


@dataclass(frozen=True)
class BackboneSpec:
    """What a task may know about the backbone when it builds its parts.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        patch: Rows and columns of a patch in pixels.
        canvas: Rows H and columns W that the model is built for.
        heads: Attention heads of a block.
        class_tokens: Width of each class token of the output; none where the backbone has no class token,
            several where it has several branches.
    """

    width: int
    depth: int
    patch: tuple[int, int]
    canvas: tuple[int, int]
    heads: int
    class_tokens: tuple[int, ...] = ()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows h and columns w of patches at the canvas the model is built for."""
        return self.canvas[0] // self.patch[0], self.canvas[1] // self.patch[1]


#: Where a file of weights tells the rows and columns of patches that its tables of positions are for.
GRID = "grid"
Option = bool | int | float | str | list[int] | list[float]


def check_divides(
    canvas: tuple[int, int], patch: tuple[int, int], what: str, error: type[MtvitError] = ConfigError
) -> None:
    """Refuse rows and columns that are not multiples of the patch, naming the nearest that are.

    Raises:
        ConfigError: (or ``error``) they are not.
    """
    if canvas[0] % patch[0] or canvas[1] % patch[1]:
        fit = tuple(max(1, round(c / p)) * p for c, p in zip(canvas, patch, strict=True))
        raise error(
            f"{what}: {canvas[0]} x {canvas[1]} pixels is not a multiple of the patch, "
            f"{patch[0]} x {patch[1]}; the nearest that fits is {fit[0]} x {fit[1]}."
        )


class Backbone(nn.Module, ABC):
    """Images in, features out; token groups join before any block.

    ``mtvit_core.backbones.token_pass.through_blocks`` does all that ``forward`` is asked for but embedding,
    blocks and final norm.

    Attributes:
        name: What it was made by, as ``model.backbone`` names it.
        options: Options it was made with; name and options make the same backbone anew.
        spec: What tasks may know about it.
        checkpointing: Whether blocks are recomputed in the backward pass to save memory.
        recomputing: Returns a context in which blocks are recomputed.
        precision: Type that the blocks multiply in, such as ``torch.bfloat16``; None for that of the weights.
            Query sources and heads stay in the type of the weights.
        block_method: The method by which blocks are run; what wraps a block, such as FSDP, wraps it.
    """

    block_method: str = "forward"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        options: Mapping[str, Option],
        spec: BackboneSpec,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        """Keep what describes it.

        Args:
            name: What it was made by.
            options: Options it was made with, kept for checkpoints.
            spec: What tasks may know about it.
            mean: Mean of red, green and blue, of 1, that images are normalised by.
            std: Deviation, likewise.

        Raises:
            ConfigError: the patch size does not divide the canvas.
        """
        super().__init__()
        self.name = name
        self.options = dict(options)
        self.spec = spec
        self.checkpointing = False
        self.recomputing: Callable[[], AbstractContextManager[None]] = nullcontext
        self.precision: torch.dtype | None = None
        check_divides(spec.canvas, spec.patch, "canvas")
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    @abstractmethod
    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run all blocks once, with every group's queries beside the context from its entry block on.

        Args:
            images: RGB, 0 to 255; sides must be multiples of the patch.
            groups: Token groups; each joins before its block ``enter``.
            maskers: Heads that supply attention masks, by group name; used in training only.
            patches: Whether anybody reads the context at the output; else the last block leaves it out, and
                ``patches`` and ``prefix`` of the output are empty.
            proposals: Whether anybody reads what is proposed at patches that become no query; else sources
                may leave it out.
            depths: Depths below the output whose patches are wanted in ``Features.inner``, in evaluation too.

        Returns:
            Features at the output and, in training, at every depth that a group asks for.

        Raises:
            ShapeError: the patch size does not divide the image.
        """

    def passes(self, tasks: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return which tasks one pass answers; by default all. A family may give tasks weights of their own.

        Args:
            tasks: Names of the tasks of a view; there may be none.
        """
        return (tuple(tasks),)

    def forward_passes(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        requests: Sequence[Request],
        known: KnownContext = NOTHING_KNOWN,
    ) -> list[Features]:
        """Run the passes that ``passes`` names.

        Args:
            images: As for ``forward``.
            requests: What each pass is asked for.
            known: Context as for ``forward_known``; the images are then not looked at.
        """
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        found = []
        for r in requests:
            asked: dict[str, Any] = {"depths": r.depths} if r.depths else {}  # which not every family takes
            rest = (r.groups, r.maskers, r.patches, r.proposals)
            found.append(
                self.forward_known(known, canvas, *rest, **asked) if known else self(images, *rest, **asked)
            )
        return found

    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks in the order in which they are run; each owns all weights of its depth."""

    @abstractmethod
    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies: 0 the embedding, 1 to ``depth`` the blocks, ``depth`` + 1 the norm.

        Args:
            parameter: Its name in ``named_parameters()`` of the backbone.
        """

    def context(self, images: UInt8[Tensor, "B 3 H W"], depths: Sequence[int]) -> dict[int, Tensor]:
        """Return prefix and patch tokens B S D at the input of some blocks, with no queries beside them.

        Together with ``forward_known`` this is what a family offers whose frozen blocks can be cached.
        ``token_pass.known_context`` does it, given what ``forward`` gives ``through_blocks``.

        Args:
            images: As for ``forward``.
            depths: Blocks at whose input they are wanted; the number of blocks: the output, before its norm.

        Raises:
            ConfigError: the family does not offer it.
        """
        self._refuse_known()

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
        """Run as ``forward`` does, from what ``context`` returned, without the images.

        Args:
            known: Context at the depths that ``known_context.known_depths`` names.
            canvas: Rows H and columns W of the images.
            groups: As for ``forward``, as all that follow.
            maskers: The same.
            patches: The same.
            proposals: The same.
            depths: The same.

        Raises:
            ConfigError: the family does not offer it.
        """
        self._refuse_known()

    def _refuse_known(self) -> NoReturn:
        raise ConfigError(
            f"backbone {self.name!r}: its family does not say what the context is before a block, so frozen "
            "blocks cannot be cached; set cache.views=0, or take a plain ViT of timm."
        )

    def class_attention(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B A h w"] | None:
        """Return how much the class token attends to each patch in the last block, by head, for pictures.

        None, as by default, where a family has no such map.
        """
        return None

    def freeze(self, blocks: int) -> None:
        """Take embedding and first blocks out of training: no gradients, and nothing is drawn in them.

        Args:
            blocks: How many; with all of them the final norm is frozen too.
        """
        for name, weight in self.named_parameters():
            if self.depth_of(name) <= blocks or blocks == self.spec.depth:
                weight.requires_grad = False
        free = {id(module) for block in self.blocks()[blocks:] for module in block.modules()}
        for module in self.modules():
            if module is not self and id(module) not in free:
                module.training = False

    def decays(self, parameter: str) -> bool:
        """Tell whether weight decay may shrink a weight: by default whatever has two axes or more.

        A family leaves out tables of positions and tokens, which are no matrices.

        Args:
            parameter: Its name in ``named_parameters()`` of the backbone.
        """
        return self.get_parameter(parameter).ndim >= 2

    def own_rate(self, parameter: str) -> float | None:
        """Return the rate of a weight as a factor on that of the heads; None: it follows from its depth.

        Args:
            parameter: Its name in ``named_parameters()`` of the backbone.
        """
        return None

    def parts_of(self, tensor: str) -> int:
        """Return how many equal parts the first axis of a tensor packs: 3 for fused queries, keys and values.

        A smaller network takes the leading rows of each part, see ``elastic.slicing``.

        Args:
            tensor: Its name in ``named_parameters()`` or ``named_buffers()`` of the backbone.
        """
        return 3 if ".qkv." in tensor else 1

    def weights(self) -> dict[str, Tensor]:
        """Return its weights as a file holds them that its family takes as ``pretrained``."""
        return dict(self.state_dict())

    def compile_blocks(self) -> None:
        """Compile the blocks; by default each by itself, as a module that is called."""
        for block in self.blocks():
            block.compile()

    def normalise(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Subtract the mean and divide by the deviation that the weights were trained with."""
        return (images.to(self.mean.dtype) - self.mean) / self.std

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which products are made in ``precision``."""
        kind = self.mean.device.type
        return nullcontext() if self.precision is None else torch.autocast(kind, self.precision)

    def recomputed(self, run: Callable[..., Tensor], *arguments: Any) -> Float[Tensor, "B S D"]:
        """Run a block so that ``checkpointing`` holds for it.

        Args:
            run: Runs it.
            arguments: What ``run`` takes.
        """
        if self.checkpointing and self.training:
            found: Tensor = checkpoint(
                run, *arguments, use_reentrant=False, context_fn=lambda: (nullcontext(), self.recomputing())
            )
            return found
        return run(*arguments)
