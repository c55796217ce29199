"""The training loop: fetch, forward, losses, backward, finite check, clip, step, average, record."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from mtvit_core.errors import DataError, DivergedError
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import View
from mtvit_train.config.run import TrainConfig
from mtvit_train.data.loading.loader import Loading, load
from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopAsked, StopRequest
from mtvit_train.engine.course import Course
from mtvit_train.engine.fsdp import shard
from mtvit_train.engine.gradients import Batches, Gradients, Learner, Lecturer, Objective
from mtvit_train.engine.meter import Meter, Report, Stopwatch
from mtvit_train.engine.non_finite import blamed, not_finite, not_updated
from mtvit_train.engine.sandwich import Sandwich
from mtvit_train.optim.ema import AveragedWeights
from mtvit_train.optim.gate_course import GateCourse
from mtvit_train.optim.param_groups import make_optimizer
from mtvit_train.optim.precision import compute_type
from mtvit_train.optim.schedule import rate
from mtvit_train.state.random_state import own_stream, random_state, seed_all, set_random_state
from mtvit_train.state.shards import gathered, parts_of_weights, whole
from mtvit_train.state.snapshot import StepSnapshot
from mtvit_train.state.state_tree import read
from mtvit_train.weighting.fixed import shared_weights

Net = TypeVar("Net", bound=Learner)


@runtime_checkable
class Source(Protocol):
    """Training data, as each view of a model sees them."""

    @property
    def views(self) -> Mapping[View, Any]:
        """A data set of samples for each view."""
        ...

    @property
    def mixtures(self) -> Mapping[View, Mixture]:
        """How samples of a view are drawn, where several data sets are trained on."""
        ...

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """Puts samples together to a batch."""
        ...


class NotFiniteError(DivergedError):
    """A loss or the gradient of the whole batch is not finite, as all processes see."""


class Trainer(Generic[Net]):
    """A model in training.

    Attributes:
        model: The weights that are updated.
        average: Their moving average.
        step: Updates made.
        evaluated: Updates made at the last evaluation.
    """

    def __init__(
        self,
        model: Net,
        split: Source,
        config: TrainConfig,
        weighting: Weighting[Any],
        teacher: Lecturer | None = None,
        sandwich: Sandwich | None = None,
        gates: GateCourse | None = None,
    ) -> None:
        """Put the model on its device and build the optimiser.

        Args:
            model: The model.
            split: Training data for every view of the model.
            config: Settings.
            weighting: Weighs the losses of the tasks.
            teacher: What the model learns from too.
            sandwich: The networks of each update, where the model is a supernet.
            gates: How gates of its backbone are learned.
        """
        self.config, self.model, self.split, self.ranks = config, model, split, Ranks.current()
        self.device = self.ranks.device(config.device)
        model.to(self.device).train()
        self.model.backbone.precision = compute_type(config.precision, self.device)
        self.average = AveragedWeights(self.model, config.ema, config.ema_start)
        if config.compile:  # the average is only evaluated, with batches of other sizes
            self.model.backbone.compile_blocks()
        self.weighting = weighting.to(self.device).train()
        if teacher is not None:
            teacher.to(self.device, self.model.backbone.precision)
        objective = Objective(self.model, self.weighting, teacher, sandwich, gates)
        if config.parallel == "fsdp" and self.ranks.world > 1:
            shard(objective, self.device, self.ranks)
            self.average.share_out(self.model)
        self.optimizer = make_optimizer(self.model, config, self.weighting)
        self.weighting.begin(shared_weights(self.model.backbone))
        self.share = self.ranks.share(config.batch_size, config.accumulate)
        self.gradients = Gradients(objective, self.ranks, config.accumulate, config.seed)
        self.meter, self.step, self.evaluated = Meter(self.device, config.workers), 0, 0

    @property
    def trained(self) -> list[Tensor]:
        """The weights that are updated."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def run(self, course: Course, stop: StopRequest | None = None) -> None:
        """Train to the last step, from where the state stands.

        Args:
            course: Told and asked between updates.
            stop: Asked after every step.

        Raises:
            DivergedError: a loss, a cost or the gradient is not finite; the state is that before the step.
            StopAsked: the run was asked to stop; its state was saved.
        """
        stop, pace = stop or StopRequest(), Stopwatch(course.timed)
        if self.step == 0:
            seed_all(self.config.seed)
        self.meter.start_clock()
        with ExitStack() as opened:
            streams = {view: opened.enter_context(closing(self._batches(view))) for view in self.model.views}
            try:
                self._evaluate_if_due(course.evaluate)
                while not self._done(course.ended):
                    stop.check()
                    self._advance(streams, course.keep)
                    pace.lap()
                    self._tell(course.report, course.save)
                    self._evaluate_if_due(course.evaluate)
            except (StopAsked, DataError) as cause:
                # The state is that between two steps; of a fault, several processes would not know alike.
                if isinstance(cause, StopAsked) or (self.ranks.world == 1 and self.step):
                    course.save()
                raise

    def _done(self, ended: Callable[[], bool]) -> bool:
        """Tell whether that was the last update: it is asked again only where an evaluation came after it."""
        return self.step == self.config.steps or (self.step == self.evaluated > 0 and ended())

    def _tell(self, report: Callable[[Report], None], save: Callable[[], None]) -> None:
        """Report losses and save the state, where it is time for it."""
        if self._due(self.config.log_every):
            report(self.meter.report(self.step, self.config.lr * self.factor, self.weighting.factors()))
        if self._due(self.config.checkpoint_every):
            with self.meter.paused():
                save()

    def _evaluate_if_due(self, evaluate: Callable[[int], None]) -> None:
        if self._owes_evaluation():
            with self.meter.paused(), own_stream(self.config.seed, self.device):
                evaluate(self.step)
            self.evaluated = self.step

    def _advance(self, streams: Mapping[View, Loading], keep: Callable[[dict[str, Any]], str]) -> None:
        """Make one update from the next batches."""
        started = time.perf_counter()
        drawn = {view: next(stream) for view, stream in streams.items()}
        waited = time.perf_counter() - started
        before = StepSnapshot([self.model, self.weighting], self.device)
        try:
            losses, norm = self.update(drawn)
        except DivergedError as cause:
            raise self._diverged(cause, drawn, before, keep) from cause
        loading = sum(stream.seconds for stream in streams.values())
        images = self.ranks.world * sum(len(batch) for batch in drawn.values())
        self.meter.add(losses, norm, images, waited, loading)

    def _due(self, every: int) -> bool:
        """Tell whether it is time for what comes every so many steps and at the end; 0: at the end only."""
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def _owes_evaluation(self) -> bool:
        return 0 < self.step != self.evaluated and self._due(self.config.evaluate_every)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on, as nested tensors and plain data.

        Of what is shared out, each process is given its part. The batches and the rate of a step follow from
        its number: neither loader nor schedule has state.
        """
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "weighting": self.weighting.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "meter": self.meter.state_dict(),
            "random": random_state(self.device),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned, here or in other processes, fewer or more of them.

        Args:
            state: Its tensors may lie in files, of which each process reads its parts. Moments come last,
                when what was read of the weights is gone again.

        Raises:
            RuntimeError: weights are missing, unexpected or of another shape.
        """
        self.model.load_state_dict(parts_of_weights(state["model"], self.model))
        self.average.load_state_dict(state["average"])
        self.weighting.load_state_dict(parts_of_weights(state["weighting"], self.weighting))
        self.optimizer.load_state_dict(state["optimizer"])
        self.meter.load_state_dict(state["meter"])
        self.step = state["step"]
        set_random_state(read(state["random"]), self.device)

    @property
    def factor(self) -> float:
        """Share of the peak rates at which the next update is made."""
        return rate(self.step, self.config.steps, self.config.warmup, self.config.final_lr)

    def update(self, batches: Batches) -> tuple[dict[str, Tensor], Tensor]:
        """Make one update from one batch per view; return the weighted loss terms and the gradient norm."""
        config = self.config
        factor = self.factor
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        self.model.progress(self.step / config.steps)
        if (gates := self.gradients.objective.gates) is not None:
            gates.begin(self.step)
        self.optimizer.zero_grad()
        losses = self.gradients.fill(batches, self.step)
        total = torch.stack(list(losses.values())).sum()
        norm = whole(torch.nn.utils.clip_grad_norm_(self.trained, config.clip))
        if not (torch.isfinite(total) & torch.isfinite(norm)):
            found = ", ".join(not_finite(losses)) or "the norm of the gradient"
            raise NotFiniteError(f"step {self.step}: {not_updated(found)}")
        self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        return {**losses, "loss": total}, norm

    def _diverged(
        self,
        cause: DivergedError,
        batches: Batches,
        before: StepSnapshot,
        keep: Callable[[dict[str, Any]], str],
    ) -> DivergedError:
        """Go back to before the step, and find what is to blame.

        Raises:
            DivergedError: in the process whose share of the batch is to blame.
            SystemExit: in the others.
        """
        before.restore()
        sharded = isinstance(self.gradients.objective, FSDPModule)
        if not isinstance(cause, NotFiniteError):  # matching refuses the costs of this share
            kept = "" if sharded else keep(self._before(batches, before))
            return DivergedError(f"step {self.step}: {cause} The weights were not updated.{kept}")
        state = gathered(self._before(batches, before))
        what = "" if sharded else blamed(self.gradients, batches, self.step)
        before.restore()

        def confess() -> None:
            if what:
                raise DivergedError(f"step {self.step}: {not_updated(what)}{keep(state)}")

        self.ranks.together(confess)
        return DivergedError(f"{cause}{keep(state)}")

    def _before(self, batches: Batches, before: StepSnapshot) -> dict[str, Any]:
        """What it takes to see a step again."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "weighting": self.weighting.state_dict(),
            "random": before.random,
            "batches": batches,
        }

    def _batches(self, view: View) -> Loading:
        dataset, config = self.split.views[view], self.config
        ranks, size = self.ranks, len(dataset)
        sampler = EpochSampler(
            size,
            self.share,
            config.seed,
            start=self.step,
            rank=ranks.rank,
            world=ranks.world,
            mixture=self.split.mixtures.get(view),
        )
        return load(dataset, sampler, config.workers, self.split.collate)
