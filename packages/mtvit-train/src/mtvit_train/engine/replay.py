"""The batch that made a run diverge, kept with all that it takes to see it again: ``diverged/`` of a run.

python -c "from mtvit_train.engine.replay import replay; print(replay('runs/first/diverged'))"
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtvit_core.config import validate
from mtvit_core.errors import DivergedError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import View
from mtvit_train.build.model import make_model
from mtvit_train.build.tasks import task_names
from mtvit_train.build.warm_start import read_start
from mtvit_train.config.run import RunConfig
from mtvit_train.distillation.teacher import open_teacher, with_teacher_checksum
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.engine.gradients import Gradients, Objective
from mtvit_train.engine.non_finite import wild_gradients
from mtvit_train.engine.sandwich import make_sandwich
from mtvit_train.optim.gate_course import gate_course
from mtvit_train.optim.param_groups import make_optimizer
from mtvit_train.optim.precision import compute_type
from mtvit_train.state.atomic_folder import DiskError, read_folder, write_folder
from mtvit_train.state.batch_state import batch_of, batch_state
from mtvit_train.state.random_state import set_random_state
from mtvit_train.weighting.fixed import make_weighting, shared_weights


@dataclass(frozen=True)
class Diverged:
    """A step that was not made, on the CPU.

    Attributes:
        step: Updates made before.
        config: Settings of the run.
        gradients: Computes the losses of the step, with the weights before it; ``gradients.objective`` has
            the model and the weighting.
        batches: What the step was to learn from, by view; of several processes, the share of one.
        random: Where the streams of random numbers stood.
    """

    step: int
    config: RunConfig
    gradients: Gradients
    batches: dict[View, Batch]
    random: dict[str, Any]

    @property
    def model(self) -> MultiTaskViT:
        """The weights before the step, in training mode."""
        model = self.gradients.objective.model
        assert isinstance(model, MultiTaskViT)
        return model

    def losses(self) -> list[dict[str, Tensor]]:
        """Return the weighted terms of each pass, with their graph, with the random numbers of the run.

        Raises:
            DivergedError: matching refuses the costs, as it did in the run.
        """
        set_random_state(self.random, self.model.device)
        self.model.progress(self.step / self.config.train.steps)
        if self.gradients.objective.gates is not None:
            self.gradients.objective.gates.begin(self.step)
        return list(self.gradients.passes_of(self.batches, self.step))


def keep(
    folder: Path, state: Mapping[str, Any], config: RunConfig, categories: Categories, ranks: Ranks
) -> str:
    """Write what ``load_diverged`` reads.

    Args:
        folder: Folder to write; an older one is replaced.
        state: ``step``, ``model``, ``weighting``, ``random``, and ``batches`` by view.
        ranks: This process.
        config: Settings of the run.
        categories: Classes of the data.

    Returns:
        A sentence that says how to see the step again, or why it could not be kept.
    """
    batches = {view: batch_state(batch) for view, batch in state["batches"].items()}
    settings = config.model_dump(mode="json")
    told = {"settings": settings, "categories": categories.to_json(), "process": (ranks.rank, ranks.world)}
    try:
        write_folder(folder, {**state, **told, "batches": batches})
    except DiskError as cause:
        return f" The batch could not be kept: {cause}"
    code = f"from mtvit_train.engine.replay import replay; print(replay({str(folder)!r}))"
    return f" To see the step again: python -c {shlex.quote(code)}"


def load_diverged(folder: str | Path) -> Diverged:
    """Read a step that was not made.

    Raises:
        CheckpointError: a file is missing or torn, or the teacher's is another one.
        ConfigError: this version knows other settings.
        PluginError: a task of the run is not installed.
    """
    state = read_folder(Path(folder))
    config = with_teacher_checksum(validate(RunConfig, state["settings"]))
    fresh = config.model_copy(update={"model": config.model.model_copy(update={"pretrained": False})})
    start = read_start(config, task_names(config))
    model = make_model(fresh, Categories.from_json(state["categories"]), start).train()
    gates = gate_course(model.backbone, config, [task.name for task in model.task_list])
    model.load_state_dict(state["model"])
    weighting = make_weighting(config, task_names(config)).train()
    weighting.load_state_dict(state["weighting"])
    make_optimizer(model, config.train, weighting)  # freezes what the run froze
    weighting.begin(shared_weights(model.backbone))
    model.backbone.precision = compute_type(config.train.precision, torch.device("cpu"))
    batches: dict[View, Batch] = {view: batch_of(batch) for view, batch in state["batches"].items()}
    ranks = Ranks(*state["process"])
    teacher, sandwich = open_teacher(config.distill, model), make_sandwich(config, model)
    objective = Objective(model, weighting, teacher, sandwich, gates)
    gradients = Gradients(objective, ranks, config.train.accumulate, config.train.seed)
    return Diverged(state["step"], config, gradients, batches, state["random"])


def replay(folder: str | Path) -> dict[str, str]:
    """Compute the losses of a step that was not made, and the gradient of each.

    Args:
        folder: ``diverged/`` of a run.

    Returns:
        By term its value, of every pass, and where its gradient is not finite; ``cost`` says what matching
        refuses.
    """
    step = load_diverged(folder)
    try:
        passes = step.losses()
    except DivergedError as refused:
        return {"cost": str(refused)}
    wild = [wild_gradients(losses, step.model) for losses in passes]
    names = dict.fromkeys(name for losses in passes for name in losses)
    return {
        name: ", ".join(
            f"{losses[name]:.6g}" + (f" with a wild gradient at {at[name]}" if name in at else "")
            for losses, at in zip(passes, wild, strict=True)
            if name in losses
        )
        for name in names
    }
