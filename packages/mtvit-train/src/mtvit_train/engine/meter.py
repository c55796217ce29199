"""What the loop tells between two records: averages of the losses, and how fast it went."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: What the name of a task's weight begins with in the records.
WEIGHT = "weight_"


@dataclass(frozen=True)
class Pace:
    """How fast a run went since the last report; these values differ from run to run.

    Attributes:
        images_per_s: Images (and crops) trained per second.
        step_s: Seconds per update, loading included.
        data_wait: Share of the time in which the loop waited for the loader.
        loader_images_per_s: Images per second that the loader's processes can deliver together.
        gpu_peak_mb: Most GPU memory in use since the run began, in MiB; None without a GPU.
    """

    images_per_s: float
    step_s: float
    data_wait: float
    loader_images_per_s: float
    gpu_peak_mb: float | None

    @property
    def values(self) -> dict[str, float]:
        """The fields by name, without what this machine does not have."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Report:
    """What the loop says every ``log_every`` steps.

    Attributes:
        step: Updates made.
        losses: Weighted terms by ``task/term``, averaged since the last report, and their sum as ``loss``.
        lr: Rate of the heads.
        grad_norm: Norm before clipping, averaged.
        pace: How fast it went.
        weights: Factor on the losses of each task, where the weighting tells it.
    """

    step: int
    losses: dict[str, float]
    lr: float
    grad_norm: float
    pace: Pace
    weights: dict[str, float]

    @property
    def values(self) -> dict[str, float]:
        """All numbers by the names they have in ``metrics.jsonl``."""
        weights = {f"{WEIGHT}{task}": value for task, value in self.weights.items()}
        return {**self.losses, "lr": self.lr, "grad_norm": self.grad_norm, **weights, **self.pace.values}


class Meter:
    """Averages between two reports; those that tell of time do not outlive the process."""

    def __init__(self, device: torch.device, workers: int) -> None:
        """Start at zero.

        Args:
            device: Where the model is trained.
            workers: Loader processes; 0 where the main process loads.
        """
        self.device, self.loaders = device, max(1, workers)
        self.restart()

    def restart(self) -> None:
        """Forget what was added; time counts from now."""
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.norm, self.steps = 0.0, 0
        self.start_clock()

    def start_clock(self) -> None:
        """Count time, and what is done in it, from now."""
        self.started = time.perf_counter()
        self.waited, self.loading, self.images, self.timed = 0.0, 0.0, 0, 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of what is no training, such as an evaluation."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.started += time.perf_counter() - began

    def add(
        self, losses: dict[str, Tensor], norm: Tensor, images: int, waited: float, loading: float
    ) -> None:
        """Add one update.

        Args:
            losses: Weighted terms.
            norm: Gradient norm before clipping.
            images: Images and crops of the update.
            waited: Seconds that the loop waited for them.
            loading: Seconds that they took in the processes that loaded them.
        """
        values = torch.stack([*losses.values(), norm]).tolist()
        for name, value in zip(losses, values[:-1], strict=True):
            self.sums[name] += value
        self.norm += values[-1]
        self.images, self.steps, self.timed = self.images + images, self.steps + 1, self.timed + 1
        self.waited, self.loading = self.waited + waited, self.loading + loading

    def report(self, step: int, lr: float, weights: dict[str, float]) -> Report:
        """Return the averages and start anew.

        Args:
            step: Updates made.
            lr: Rate of the heads.
            weights: Factor on the losses of each task, as far as it is told.
        """
        spent = max(time.perf_counter() - self.started, 1e-9)
        losses = {name: value / self.steps for name, value in self.sums.items()}
        pace = Pace(
            images_per_s=self.images / spent,
            step_s=spent / self.timed,
            data_wait=self.waited / spent,
            loader_images_per_s=self.images * self.loaders / max(self.loading, 1e-9),
            gpu_peak_mb=self._gpu_peak(),
        )
        result = Report(step, losses, lr, self.norm / self.steps, pace, weights)
        self.restart()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the sums that do not tell of time, as plain data."""
        return {"sums": dict(self.sums), "norm": self.norm, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums that ``state_dict`` returned."""
        self.restart()
        self.sums.update(state["sums"])
        self.norm, self.steps = state["norm"], state["steps"]

    def _gpu_peak(self) -> float | None:
        if self.device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(self.device) / 2**20


class Stopwatch:
    """Times one update, the second: the first one also prepares what later ones reuse."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        """Wait for the first update.

        Args:
            tell: Given the seconds.
        """
        self._tell, self._updates, self._began = tell, 0, 0.0

    def lap(self) -> None:
        """Note that an update was made."""
        self._updates += 1
        if self._updates == 1:
            self._began = time.perf_counter()
        if self._updates == 2:
            self._tell(time.perf_counter() - self._began)
