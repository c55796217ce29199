"""The training loop: fetch, forward, losses, backward, finite check, clip, step, average, record."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mtvit_core.batch import Batch
from mtvit_core.device import pick_device
from mtvit_core.errors import MtvitError
from mtvit_core.model import MultiTaskViT, View
from mtvit_core.weighting import Weighting
from mtvit_train.assemble import Split
from mtvit_train.config import TrainConfig
from mtvit_train.data.loader import Loading, load
from mtvit_train.data.sampler import EpochSampler
from mtvit_train.ema import AveragedWeights
from mtvit_train.meter import Meter, Report
from mtvit_train.optim import make_optimizer
from mtvit_train.precision import compute_type
from mtvit_train.schedule import rate


class DivergedError(MtvitError):
    """A loss or gradient is not finite; the weights are those before the step."""


class Trainer:
    """A model in training.

    Attributes:
        model: The weights that are updated.
        average: Their moving average.
        step: Updates made.
    """

    def __init__(
        self, model: MultiTaskViT, split: Split, config: TrainConfig, weighting: Weighting[Any]
    ) -> None:
        """Put the model on its device and build the optimiser.

        Args:
            model: The model.
            split: Training data for every view of the model.
            config: Settings.
            weighting: Weighs the losses of the tasks.
        """
        self.config = config
        self.device = pick_device(config.device)
        self.model = model.to(self.device).train()
        self.model.backbone.precision = compute_type(config.precision, self.device)
        self.average = AveragedWeights(self.model, config.ema)
        self.weighting = weighting.to(self.device).train()
        self.optimizer = make_optimizer(self.model, config, self.weighting)
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.split = split
        self.step = 0

    def run(self, report: Callable[[Report], None], evaluate: Callable[[int], None]) -> None:
        """Train to the last step.

        Args:
            report: Told the losses every ``log_every`` steps and at the end.
            evaluate: Called every ``evaluate_every`` steps and at the end, with the number of updates made.

        Raises:
            DivergedError: a loss or the gradient is not finite.
        """
        torch.manual_seed(self.config.seed)
        batches = {view: self._batches(view) for view in self.model.views}
        meter = Meter(self.device, self.config.workers)
        while self.step < self.config.steps:
            started = time.perf_counter()
            drawn = {view: next(stream) for view, stream in batches.items()}
            waited = time.perf_counter() - started
            losses, norm = self.update(drawn)
            loading = sum(stream.seconds for stream in batches.values())
            meter.add(losses, norm, sum(len(batch) for batch in drawn.values()), waited, loading)
            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                report(meter.report(self.step, self.config.lr * self.factor))
            due = self.config.evaluate_every and self.step % self.config.evaluate_every == 0
            if due or self.step == self.config.steps:
                evaluate(self.step)
                meter.restart()

    @property
    def factor(self) -> float:
        """Share of the peak rates at which the next update is made."""
        return rate(self.step, self.config.steps, self.config.warmup, self.config.final_lr)

    def update(self, batches: dict[View, Batch]) -> tuple[dict[str, Tensor], Tensor]:
        """Make one update from one batch per view; return the weighted loss terms and the gradient norm."""
        config = self.config
        factor = self.factor
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        self.model.progress(self.step / config.steps)
        losses: dict[str, Tensor] = {}
        for view, batch in batches.items():
            losses |= self.model.losses(batch, view)
        losses = self.weighting(losses)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self.trained, config.clip)
        if not (torch.isfinite(total) & torch.isfinite(norm)):
            raise DivergedError(self._diverged(losses, norm))
        # Before the step: a term may be a parameter of the weighting itself.
        seen = {name: value.detach().clone() for name, value in {**losses, "loss": total}.items()}
        self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        return seen, norm

    def _diverged(self, losses: dict[str, Tensor], norm: Tensor) -> str:
        bad = [name for name, value in losses.items() if not torch.isfinite(value)] or [
            f"gradient norm {norm:.3g}"
        ]
        return (
            f"step {self.step}: {', '.join(bad)} is not finite, so the weights were not updated; "
            "lower train.lr or raise train.warmup, or use train.precision=fp32."
        )

    def _batches(self, view: View) -> Loading:
        dataset, config = self.split.views[view], self.config
        sampler = EpochSampler(len(dataset), config.batch_size, config.seed, start=self.step)
        return load(dataset, sampler, config.workers)
