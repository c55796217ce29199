"""Token groups: the query tokens a task adds to the backbone, where they enter and what they start from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mtvit_core.errors import PluginError

Visibility = Literal["isolated", "joint"]


@dataclass(frozen=True)
class Context:
    """The tokens of the image at some depth, before any final norm.

    Attributes:
        patches: Patch tokens, row-major.
        prefix: Class and register tokens.
        grid: Rows h and columns w of patches.
        proposals: Whether what a source proposes at patches that become no query is read: by a loss, or by a
            model that learns from this one.
    """

    patches: Float[Tensor, "B N D"]
    prefix: Float[Tensor, "B R D"]
    grid: tuple[int, int]
    proposals: bool = True


@dataclass(frozen=True)
class Pick:
    """Proposals of patches, and the ones picked to become queries.

    Attributes:
        logits: Class logits of every patch.
        index: Patches picked, best first.
        picked_boxes: Their boxes, cx cy w h relative to the canvas.
        proposed: Box of every patch; None where nobody reads them.
    """

    logits: Float[Tensor, "B N C"]
    index: Int64[Tensor, "B Q"]
    picked_boxes: Float[Tensor, "B Q 4"]
    proposed: Float[Tensor, "B N 4"] | None = None

    @classmethod
    def among(
        cls, logits: Float[Tensor, "B N C"], boxes: Float[Tensor, "B N 4"], index: Int64[Tensor, "B Q"]
    ) -> "Pick":
        """Pick among patches that all have a box."""
        return cls(logits, index, take_rows(boxes, index), boxes)

    @property
    def boxes(self) -> Float[Tensor, "B N 4"]:
        """Box of every patch, cx cy w h relative to the canvas.

        Raises:
            PluginError: they were not made.
        """
        if self.proposed is None:
            raise PluginError(
                "pick: boxes of patches that became no query are not made for results; read picked_boxes, or "
                "call the model itself, which makes them unless told proposals=False."
            )
        return self.proposed

    def of(self, columns: Sequence[int]) -> "Pick":
        """Return the same proposals with some of the classes alone, in the order given."""
        if list(columns) == list(range(self.logits.shape[-1])):
            return self
        return replace(self, logits=self.logits[..., list(columns)])

    @property
    def picked_logits(self) -> Float[Tensor, "B Q C"]:
        """Class logits of the picked patches."""
        return take_rows(self.logits, self.index)


def take_rows(values: Float[Tensor, "B N D"], index: Int64[Tensor, "B Q"]) -> Float[Tensor, "B Q D"]:
    """Pick rows of each image, so that an exported program takes any number of images.

    ``take_along_dim`` would fix it where it broadcasts, and a program gathers whole rows faster than numbers.
    """
    if torch.compiler.is_compiling():
        first = torch.arange(values.shape[0], device=index.device)[:, None] * values.shape[1]
        return values.flatten(0, 1)[first + index]
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))


@dataclass(frozen=True)
class Entry:
    """What a group brings into the sequence at its entry block.

    Attributes:
        content: The query tokens.
        pick: The proposals they were picked from; None for learned queries.
    """

    content: Float[Tensor, "B Q D"]
    pick: Pick | None = None


class QuerySource(nn.Module):
    """Makes the tokens of a group from the context at its entry block; ``forward(context) -> Entry``."""

    def forward(self, context: Context) -> Entry:
        """Make the query tokens; subclasses define it."""
        raise NotImplementedError

    def positions(self, blocks: int) -> Float[Tensor, "Q D"] | None:
        """Return what is added to the tokens once they have passed so many blocks; None for nothing."""
        return None


@runtime_checkable
class QueryMasker(Protocol):
    """A head that restricts which patches its queries may attend to (masked attention, Cheng et al. 2022)."""

    def query_mask(
        self, layer: int, queries: Float[Tensor, "B Q D"], patches: Float[Tensor, "B D h w"]
    ) -> Bool[Tensor, "B Q N"] | None:
        """Return which patches each query may attend to in block ``layer``; None for all.

        Args:
            layer: Index of the block about to run.
            queries: Queries before that block, after the backbone's final norm.
            patches: Patch tokens before that block, after the backbone's final norm.
        """
        ...


@dataclass(frozen=True)
class TokenGroup:
    """A named set of query tokens.

    Attributes:
        name: Unique in a model; the task's name, or ``"task-part"``.
        count: Number of tokens Q. A source that picks from context gives fewer where an image has fewer
            patches.
        enter: Index of the block before which the tokens join.
        source: Makes the tokens; its parameters belong to the model.
        visibility: ``isolated``: queries attend to the context and their own group, and nothing else attends
            to them. ``joint``: context and all joint groups attend to each other (as YOLOS, EoMT, TokenPose).
        layers: Depths at which the group is read: ``i`` means "before block i", the depth itself means the
            output. Depths below the output are computed in training only.
        masked: Whether the head that reads the group supplies attention masks in training (it is a
            ``QueryMasker``).
    """

    name: str
    count: int
    enter: int
    source: QuerySource
    visibility: Visibility = "isolated"
    layers: tuple[int, ...] = ()
    masked: bool = False


class LearnedQueries(QuerySource):
    """Queries learned as parameters, the same for every image (DETR, YOLOS, EoMT)."""

    def __init__(self, count: int, width: int, std: float = 0.02, tables: int = 0) -> None:
        """Draw the tokens.

        Args:
            count: Number of tokens Q.
            width: Token width D.
            std: Deviation of the normal draw, which is cut at two of them; YOLOS takes 0.02, EoMT 1.
            tables: Positions of the tokens to learn, one table after each of so many blocks; YOLOS has them.
        """
        super().__init__()
        self.weight = nn.Parameter(
            nn.init.trunc_normal_(Tensor(count, width), std=std, a=-2 * std, b=2 * std)
        )
        self.tables = (
            nn.Parameter(nn.init.trunc_normal_(Tensor(tables, count, width), std=0.02)) if tables else None
        )

    def forward(self, context: Context) -> Entry:
        """Repeat the tokens for every image of the batch."""
        return Entry(self.weight.expand(context.patches.shape[0], -1, -1))

    def positions(self, blocks: int) -> Float[Tensor, "Q D"] | None:
        """The table of this place, where there is one."""
        if self.tables is None or not 0 < blocks <= len(self.tables):
            return None
        return self.tables[blocks - 1]
