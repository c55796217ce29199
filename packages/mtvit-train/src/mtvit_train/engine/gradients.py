"""The gradient of a batch that is shared out over processes and passes: the one of the whole batch.

g = mean over processes and passes of the gradients of their losses, which divide by shared counts
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.losses.global_batch import Counts, sharing
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import View
from mtvit_train.distributed.ranks import Ranks, mean_over_ranks
from mtvit_train.engine.sandwich import Sandwich
from mtvit_train.optim.gate_course import GateCourse
from mtvit_train.pretraining.pretext import Pretext

# Keeps the streams of random numbers of passes apart from those for order, augmentation and transforms.
_PASS_STREAM = 5

#: A share of a batch, by view: something with a length, and with ``part(start, stop)``.
Batches = Mapping[View, Any]
#: What is trained: a model of tasks, or a backbone that learns from images alone.
Learner: TypeAlias = MultiTaskViT | Pretext


@runtime_checkable
class Lecturer(Protocol):
    """Says something about a batch that the model learns from; it is no part of the model."""

    def to(self, device: torch.device, precision: torch.dtype | None) -> Any:
        """Go to a device; a backbone multiplies in ``precision``."""
        ...

    def lessons(self, batch: Any, view: View) -> Mapping[str, Any]:
        """Return what it says, without gradients."""
        ...

    def weigh(self, terms: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Multiply the terms that come of it by its factors."""
        ...


class Objective(nn.Module):
    """The loss terms of a batch, weighed against each other."""

    def __init__(
        self,
        model: Learner,
        weighting: Weighting[Any],
        teacher: Lecturer | None = None,
        sandwich: Sandwich | None = None,
        gates: GateCourse | None = None,
    ) -> None:
        """Keep what there is.

        Args:
            model: Its parameters are trained.
            weighting: The same.
            teacher: What the model learns from too; it stays as it is.
            sandwich: The networks of each update, where the model is a supernet.
            gates: How gates of the backbone are learned, which may cost something.
        """
        super().__init__()
        self.model, self.weighting, self.teacher = model, weighting, teacher
        self.sandwich, self.gates = sandwich, gates
        # Never used: torch remarks on a search for unused parameters that finds none.
        self.unused = nn.Parameter(torch.zeros(1, device=model.device))

    def forward(self, batches: Batches, *, counting: bool = False) -> dict[str, Float[Tensor, ""]]:
        """Return the terms whose sum is minimised; as the tasks give them where the batch is only counted."""
        terms = {
            name: value
            for view, batch in batches.items()
            for name, value in self._losses(batch, view).items()
        }
        if counting:
            return terms
        # What a shared-out module returns carries the hook of its backward pass, which a view could lose.
        weighed = {name: value.clone() for name, value in self.weighting(terms).items()}
        return weighed if self.gates is None else {**weighed, **self.gates.terms()}

    def _losses(self, batch: Any, view: View) -> dict[str, Float[Tensor, ""]]:
        if self.sandwich is not None and not self.sandwich.runs_largest:
            return self.sandwich.losses(batch, view)
        if self.teacher is None:
            return self.model.losses(batch, view)
        return self.teacher.weigh(self.model.losses(batch, view, self.teacher.lessons(batch, view)))


@dataclass(frozen=True)
class _Pass:
    """One of the passes of an update: a share of the batch, by place, and the network it goes through."""

    place: int
    batches: Batches
    genome: Genome | None
    counts: Counts | None

    def counting(self) -> AbstractContextManager[None]:
        return nullcontext() if self.counts is None else self.counts.counting()

    def counted(self) -> AbstractContextManager[None]:
        return nullcontext() if self.counts is None else self.counts.handing_out()


class Gradients:
    """Computes gradients, in several processes and in several passes, as one pass in one process would."""

    def __init__(self, objective: Objective, ranks: Ranks, passes: int, seed: int) -> None:
        """Prepare the exchange with the other processes.

        Args:
            objective: What is minimised; its weights may be shared out.
            ranks: This process.
            passes: Passes in which a process goes through its share of a batch.
            seed: Number of the run.
        """
        self.objective, self.ranks, self.passes, self.seed = objective, ranks, passes, seed
        self.shared: nn.Module = objective
        if Ranks.current().world > 1 and not isinstance(objective, FSDPModule):
            # Grads of depthwise convolutions lie in memory as torch likes; the exchange copies them.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            # A process may hold images that no loss of some plugin reads; the others would wait for ever.
            self.shared = DistributedDataParallel(objective, find_unused_parameters=True)

    def fill(self, batches: Batches, step: int) -> dict[str, Float[Tensor, ""]]:
        """Put the gradient of the whole batch into the parameters.

        Args:
            batches: The share of this process, by view.
            step: Number of the update.

        Returns:
            The weighted terms of the whole batch, the same in all processes.
        """
        plan = self._plan(batches, step)
        found: list[dict[str, Tensor]] = []
        for one in plan:
            with self._apart(wait=one is plan[-1]), self._running(one, step):
                with one.counted():
                    terms: dict[str, Tensor] = self.shared(one.batches)
                total = torch.stack(list(terms.values())).sum() / len(plan)
                total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            found.append({name: value.detach() for name, value in terms.items()})
        names = dict.fromkeys(name for terms in found for name in terms)
        nothing = torch.zeros((), device=self.objective.model.device)  # of terms that a pass does not have
        means = [torch.stack([terms.get(name, nothing) for terms in found]).mean() for name in names]
        return dict(zip(names, mean_over_ranks(torch.stack(means)), strict=True))

    def passes_of(self, batches: Batches, step: int) -> Iterator[dict[str, Float[Tensor, ""]]]:
        """Yield the weighted terms of this process's share, one pass after the other, with their graph."""
        for one in self._plan(batches, step):
            with self._running(one, step), one.counted():
                terms: dict[str, Tensor] = self.objective(one.batches)
            yield terms

    def _plan(self, batches: Batches, step: int) -> list["_Pass"]:
        """The passes of an update: each share of the batch, through each of the networks of a supernet."""
        sandwich = self.objective.sandwich
        genomes: Sequence[Genome | None] = (None,) if sandwich is None else sandwich.genomes(step)
        counts = [Counts() if self.passes > 1 else None for _ in genomes]
        plan = [
            _Pass(place, part, genome, count)
            for place, part in enumerate(_parts(batches, self.passes))
            for genome, count in zip(genomes, counts, strict=True)
        ]
        if self.passes > 1:
            self._count(plan, step)
        return plan

    @torch.no_grad()
    def _count(self, plan: Sequence["_Pass"], step: int) -> None:
        """Go through the batch once for its counts, which may depend on predictions."""
        with _buffers_kept(self.objective):
            for one in plan:
                with self._running(one, step), one.counting():
                    self.objective(one.batches, counting=True)
        for counts in {id(one.counts): one.counts for one in plan}.values():
            if counts is not None:
                counts.add_processes()

    @contextmanager
    def _running(self, one: "_Pass", step: int) -> Iterator[None]:
        """Let a pass draw its numbers, through its network."""
        sandwich = self.objective.sandwich
        network = nullcontext() if sandwich is None or one.genome is None else sandwich.running(one.genome)
        with network, self._drawing(step, one.place):
            yield

    @contextmanager
    def _drawing(self, step: int, part: int) -> Iterator[None]:
        """Make all random numbers of a pass a function of seed, update and share."""
        place, shares = self.ranks.rank * self.passes + part, self.ranks.world * self.passes
        torch.manual_seed(_seed(self.seed, step, place))
        with sharing(place, shares, _seed(self.seed, step)):
            yield

    def _apart(self, wait: bool) -> AbstractContextManager[None]:
        """Exchange gradients at the last pass only."""
        if isinstance(self.shared, FSDPModule):
            self.shared.set_requires_gradient_sync(wait)
        elif isinstance(self.shared, DistributedDataParallel) and not wait:
            return self.shared.no_sync()
        return nullcontext()


def _seed(*numbers: int) -> int:
    return int(np.random.default_rng([_PASS_STREAM, *numbers]).integers(2**63))


def _parts(batches: Batches, passes: int) -> list[Batches]:
    def part(batch: Any, place: int) -> Any:
        size = len(batch) // passes
        return batch.part(place * size, (place + 1) * size)

    return [{view: part(batch, place) for view, batch in batches.items()} for place in range(passes)]


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """Put buffers, such as the statistics of batch norms, back to what they were."""
    before = [buffer.clone() for buffer in module.buffers()]
    yield
    for buffer, value in zip(module.buffers(), before, strict=True):
        buffer.copy_(value)
