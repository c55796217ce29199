"""What the backbone hands to the heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from jaxtyping import Float
from torch import Tensor

from mtvit_core.backbones.tokens import Pick
from mtvit_core.errors import PluginError


@dataclass(frozen=True)
class LayerFeatures:
    """All tokens at one depth, after the backbone's final norm.

    Attributes:
        patches: Patch tokens as a map; 0 x 0 at the output where no task reads them, see
            ``Task.reads_patches``.
        prefix: Class and register tokens; none where there are no patches.
        queries: Query tokens B Q D of the groups that have entered, by group name.
    """

    patches: Float[Tensor, "B D h w"]
    prefix: Float[Tensor, "B R D"]
    queries: Mapping[str, Float[Tensor, "B Q D"]]


class QueriesOnly(LayerFeatures):
    """The output for the head of a task that denies ``Task.reads_patches``: what it denies is refused."""

    task: str

    def __init__(self, features: LayerFeatures, task: str) -> None:
        """Keep the queries.

        Args:
            features: The output.
            task: Name of the task, for the message.
        """
        object.__setattr__(self, "queries", features.queries)
        object.__setattr__(self, "task", task)

    @property
    def patches(self) -> NoReturn:
        """Nothing.

        Raises:
            PluginError: always.
        """
        self._refuse("patches")

    @property
    def prefix(self) -> NoReturn:
        """Nothing.

        Raises:
            PluginError: always.
        """
        self._refuse("prefix")

    def _refuse(self, tokens: str) -> NoReturn:
        raise PluginError(
            f"task {self.task!r}: its head reads the {tokens} of the output, but its `reads_patches` says "
            "that it does not; return True there, or read the queries alone."
        )


@dataclass(frozen=True)
class Features:
    """The backbone's answer for one batch.

    Attributes:
        layers: Features by depth: ``i`` is the state before block i, ``depth`` the output. Depths
            below the output are there in training only, where a group asks for them.
        depth: Number of blocks; ``layers[depth]`` is always there.
        picks: Proposals of the groups that were picked from context, by group name.
        canvas: Rows H and columns W of the input in pixels.
        class_tokens: Class tokens of the output after their norm, as ``BackboneSpec.class_tokens`` has them;
            none where no task reads patches.
        inner: Patch tokens below the output, after the final norm, by depth: those that pixel decoders ask
            for, in evaluation too.
        decoded: What the pixel decoder of the task makes of them; None for a task without one.
    """

    layers: Mapping[int, LayerFeatures]
    depth: int
    picks: Mapping[str, Pick]
    canvas: tuple[int, int]
    class_tokens: tuple[Float[Tensor, "B _"], ...] = ()
    inner: Mapping[int, Float[Tensor, "B D h w"]] = field(default_factory=dict)
    decoded: Float[Tensor, "B D2 h2 w2"] | None = None

    def under(self, group: str, name: str, columns: Sequence[int]) -> "Features":
        """Return the depths at which a group is there, with the group under another name as well.

        Args:
            group: Name of the group.
            name: Its other name.
            columns: Classes of its proposals that stand under that name.
        """
        layers = {
            depth: replace(layer, queries={**layer.queries, name: layer.queries[group]})
            for depth, layer in self.layers.items()
            if group in layer.queries
        }
        picks = self.picks
        if group in picks:
            picks = {**picks, name: picks[group].of(columns)}
        return replace(self, layers=layers, picks=picks)

    def at_hand(self, depths: Sequence[int]) -> list[LayerFeatures]:
        """Return those of these depths that are there: in evaluation the output alone."""
        return [self.layers[depth] for depth in depths if depth in self.layers]

    @property
    def last(self) -> LayerFeatures:
        """The output of the last block."""
        return self.layers[self.depth]

    def queries_only(self, task: str) -> "Features":
        """Return the same without patches and prefix at the output, for a task that denies reading them."""
        layers = {**self.layers, self.depth: QueriesOnly(self.last, task)}
        return replace(self, layers=layers, class_tokens=())
