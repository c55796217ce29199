"""A plain ViT of timm in which each task may own qkv, proj, fc1 and fc2 of a block, or share them.

    W_l,t = g_l,t W_l + (1 - g_l,t) W'_l,t

A task that owns nothing is answered by one pass with all others of that kind. One that owns anything from
block m on leaves them there: the context up to m is the same, and is computed once. Embedding, norms and
LayerScale are everybody's.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mtvit_core.backbones.branched.estimators import THRESHOLD, Estimator
from mtvit_core.backbones.branched.gates import LINEARS, Gates
from mtvit_core.backbones.branched.linears import Unshared, layers_of, name_of, paths_of, put, size_of
from mtvit_core.backbones.branched.options import BranchedOptions, check_options
from mtvit_core.backbones.branched.routes import copies, depths_in_common, hard_blocks, soft_blocks
from mtvit_core.backbones.branched.storage import count, random_gates
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.known_context import NOTHING_KNOWN, KnownContext
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.token_pass import known_context, through_blocks
from mtvit_core.errors import ConfigError


class BranchedBackbone(PlainBackbone):
    """A plain ViT whose tasks share some layers and own others.

    ``forward`` alone runs the layers that all share, and the first task's where no task shares one.

    Attributes:
        tasks: Names of the tasks that may own layers; others share every layer.
        first: The first block of which a task may own anything.
        scores: What decides the gates, by block from ``first`` on, task and linear layer: above 0.5, shared;
            None where the gates are fixed.
        sizes: Parameters of one copy of each layer that has a gate, by block and linear layer.
        rest: Parameters without a gate.
        estimator: How gates follow from the scores in this update; None: they are 0 or 1, without a gradient.
        drawn: Gates of this update, whatever the scores say; None: those that the scores say.
        apart: Whether tasks get a pass each though their gates are equal, for each score needs a gradient of
            its own.
    """

    scores: nn.Parameter | None
    estimator: Estimator | None
    drawn: Gates | None
    held: Tensor

    def __init__(
        self,
        vit: nn.Module,
        name: str,
        canvas: tuple[int, int],
        options: Mapping[str, Option],
        own: BranchedOptions,
    ) -> None:
        """Give tasks their copies.

        Args:
            vit: As for ``PlainBackbone``.
            name: What the backbone was made by.
            canvas: Rows H and columns W that the model is built for.
            options: All options it was made with.
            own: Those of them that say who owns what.

        Raises:
            ConfigError: they do not fit the backbone.
        """
        super().__init__(vit, name, canvas, options)
        check_options(name, own, self.spec.depth)
        self.tasks, self.first = own.names, own.shared_blocks
        blocks = list(self.vit.blocks)[self.first :]
        sizes = [[size_of(block, linear) for linear in LINEARS] for block in blocks]
        self.sizes = torch.tensor(sizes, device="cpu").view(-1, len(LINEARS))  # weights may be on "meta"
        self.rest = sum(p.numel() for p in self.parameters()) - int(self.sizes.sum())
        self.scores, self.estimator, self.drawn = None, None, None
        self._routes: dict[str, tuple[Any, ...]] = {}
        self._fixed = self._given(own.gates)
        self.apart = self._fixed is None
        for i, block in enumerate(self.vit.blocks):
            owned = {task: self._may_own(task, i) for task in self.tasks}
            block.own = nn.ModuleDict({task: copies(block, owned[task]) for task in self.tasks})
        if self._fixed is None:
            shape = (len(blocks), len(self.tasks), len(LINEARS))
            self.scores = nn.Parameter(THRESHOLD + torch.empty(shape).uniform_(-0.01, 0.01))
            self.register_buffer("held", (self.scores.detach() > THRESHOLD).to(torch.uint8))
        else:
            self._drop_unshared()

    def _given(self, text: str) -> Gates | None:
        empty = Gates(self.tasks, self.spec.depth)
        if text.startswith("random:"):
            return random_gates(text, empty, self.sizes, self.rest, self.first)
        return Gates.parse(text, self.tasks, self.spec.depth, self.first) if text else None

    def _may_own(self, task: str, i: int) -> Collection[str]:
        if self._fixed is not None:
            return self._fixed.owned(task, i)
        return LINEARS if i >= self.first else ()

    def _drop_unshared(self) -> None:
        """Leave out the shared copy of what every task owns."""
        for i, linear in self.gates.shared_by_none():
            for path in layers_of(self.vit.blocks[i], linear):
                put(self.vit.blocks[i], path, Unshared())
        self._routes = {task: hard_blocks(self.blocks(), self.gates, task) for task in ("", *self.tasks)}

    # Gates

    @property
    def gates(self) -> Gates:
        """The gates, each 0 or 1: fixed ones, those drawn for this update, or those that the scores say."""
        if self._fixed is not None:
            return self._fixed
        if self.drawn is not None and self.training:
            return self.drawn
        return Gates.of(self.tasks, self.spec.depth, self.held.tolist())

    @torch.no_grad()
    def hold(self, gates: Gates) -> None:
        """Take gates as those of the backbone, until it is told of others; its scores stay.

        Raises:
            ConfigError: its gates are fixed.
        """
        if self.scores is None:
            raise ConfigError(f"backbone {self.name!r}: its gates are fixed; they are {self.gates}.")
        self.held.copy_(torch.tensor(gates.table(self.first)).view(self.held.shape))

    @property
    def stored(self) -> int:
        """Parameters that the backbone stores with these gates, unused copies left out."""
        return count(self.gates, self.sizes, self.rest, self.first)

    @property
    def plain_size(self) -> int:
        """Parameters of the plain backbone."""
        return self.rest + int(self.sizes.sum())

    def settled(self) -> "BranchedBackbone":
        """Return a backbone with these gates fixed and without the copies that are not used then.

        It has weights of its own; it is the backbone itself where the gates are fixed already.
        """
        if self._fixed is not None:
            return self
        made = copy.deepcopy(self)
        made._fixed, made.estimator, made.drawn, made.apart = self.gates, None, None, False
        made.options = {**self.options, "gates": str(made._fixed)}
        made.scores = None
        del made.held
        for i, block in enumerate(made.vit.blocks):
            for task, layers in block.own.items():
                used = {name_of(p) for one in made._fixed.owned(task, i) for p in paths_of(block, one)}
                for name in set(layers) - used:
                    del layers[name]
        made._drop_unshared()
        return made

    # Passes

    def passes(self, tasks: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return which tasks one pass answers: together those that own nothing, each other one alone."""
        if self.apart:
            known = tuple((task,) for task in tasks if task in self.tasks)
            strange = tuple(task for task in tasks if task not in self.tasks)
            return known + ((strange,) if strange or not known else ())
        return self.gates.passes(tasks)

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[Any] = (),
        maskers: Mapping[str, Any] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run all blocks once with what all share, see ``Backbone.forward``.

        Raises:
            ShapeError: the patch size does not divide the image.
        """
        request = Request(groups, maskers or {}, patches, proposals, depths)
        return self.forward_passes(images, [request])[0]

    def forward_passes(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        requests: Sequence[Request],
        known: KnownContext = NOTHING_KNOWN,
    ) -> list[Features]:
        """Run each pass with the layers of its tasks, and what several have in common once.

        Raises:
            ShapeError: the patch size does not divide the image.
            ConfigError: a task that may own nothing reads a layer that no task shares.
        """
        values = self._values()
        routes = [self._route(request.tasks, values) for request in requests]
        grid = self._grid((int(images.shape[-2]), int(images.shape[-1])))
        if known:
            rope, start = timm_blocks.rotary(self.vit, grid), dict(known)
        else:
            embedded, grid = self._embed(images)
            rope, start = embedded.rope, {0: embedded.tokens}
        contexts = self._contexts(start, requests, grid, rope, soft=values is not None)
        tables, norm = self._tables(grid), self.vit.norm
        return [
            through_blocks(self, context, grid, request, self._run(rope, grid, blocks), norm, tables)
            for request, blocks, context in zip(requests, routes, contexts, strict=True)
        ]

    def _contexts(
        self,
        start: dict[int, Tensor],
        requests: Sequence[Request],
        grid: tuple[int, int],
        rope: tuple[Tensor, ...] | None,
        soft: bool,
    ) -> list[Tensor | KnownContext]:
        """Return the context that each pass starts from: at all blocks that it has in common with others."""
        leaves, last = [self._leaves(request, soft) for request in requests], max(start)
        wanted = depths_in_common(requests, leaves, self.spec.depth, last)
        missing = sorted({i for depths in wanted for i in depths if i > last})
        if missing:
            tables, run = self._tables(grid), self._run(rope, grid, self._route((), None))
            with self.autocast():
                start |= known_context(start[last], grid, missing, run, tables, last)
        if max(start) == 0:
            return [start[0]] * len(requests)
        return [{i: start[i] for i in depths} for depths in wanted]

    def _leaves(self, request: Request, soft: bool) -> int:
        """Return the first block that a pass does not have in common with all others."""
        if soft and any(task in self.tasks for task in request.tasks):
            return self.first
        return min((self.gates.leaves(task) for task in request.tasks), default=self.spec.depth)

    def context(self, images: UInt8[Tensor, "B 3 H W"], depths: Sequence[int]) -> dict[int, Tensor]:
        """Return the context at some depths, which all tasks have in common; see ``Backbone.context``.

        Raises:
            ShapeError: the patch size does not divide the image.
            ConfigError: a task may own layers below.
        """
        least = self.first if self._fixed is None else min(map(self._fixed.leaves, self.tasks))
        if max(depths) > least:
            raise ConfigError(
                f"backbone {self.name!r}: the context before block {max(depths)} is not the same for all "
                f"tasks, which may own layers from block {least} on, so it cannot be cached; freeze at most "
                f"{least} blocks, share more of them (model.options.shared_blocks), or set cache.views=0."
            )
        return super().context(images, depths)

    # Blocks of a task

    def _values(self) -> Float[Tensor, "L T 4"] | None:
        """Gates with a gradient, where the scores are to get one."""
        if self.scores is None or self.estimator is None or not self.training:
            return None
        return self.estimator.gates(self.scores)

    def _route(self, tasks: Sequence[str], values: Tensor | None) -> Sequence[Any]:
        """Return the blocks that some tasks of one pass run."""
        task = next((task for task in tasks if task in self.tasks), "")
        if not task and tasks:
            self._check_shared(tasks[0])
        if values is not None and task:
            return soft_blocks(self.blocks(), self.first, task, values[:, self.tasks.index(task)])
        blocks = self._routes.get(task) or hard_blocks(self.blocks(), self.gates, task)
        for made, block in zip(blocks, self.vit.blocks, strict=True):
            made.training = block.training
        return blocks

    def _check_shared(self, task: str) -> None:
        for block, linear in self._fixed.shared_by_none() if self._fixed is not None else ():
            raise ConfigError(
                f"backbone {self.name!r}: task {task!r} owns nothing, but {linear} of block {block} is not "
                f"there for it, for each of {', '.join(self.tasks)} owns it; name it in tasks too, and "
                "train anew."
            )

    def compile_blocks(self) -> None:
        """Compile ``step``, once for all blocks, those of tasks too."""
        super().compile_blocks()
        self._routes = {task: hard_blocks(self.blocks(), self.gates, task) for task in self._routes}

    # Weights

    def own_rate(self, parameter: str) -> float | None:
        """Give the scores the rate that ``score_rate`` says; see ``Backbone.own_rate``."""
        return self.score_rate if parameter == "scores" else None

    #: Rate of the scores, as a factor on that of the heads.
    score_rate: float = 10.0

    def decays(self, parameter: str) -> bool:
        """Leave out scores too."""
        return parameter != "scores" and super().decays(parameter)

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies; scores lie above all blocks."""
        return self.spec.depth + 1 if parameter == "scores" else super().depth_of(parameter)

    def weights(self) -> dict[str, Tensor]:
        """Return all weights, in timm's keys but for copies, scores and gates."""
        ours = {name: value for name, value in self.state_dict().items() if name in ("scores", "held")}
        return {**super().weights(), **ours}
