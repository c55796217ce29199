"""The teacher of a run: a model whose predictions the tasks learn from, beside the labels or without any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.errors import CheckpointError, ConfigError, did_you_mean
from mtvit_core.files import checksum
from mtvit_core.model.checkpoint import load
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.tasks.task import Task, View
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.config.run import RunConfig

AnyTask = Task[Any, Any, Any]


@dataclass(frozen=True)
class Teacher:
    """A frozen model beside the one that is trained; no part of it, of its optimiser or of its checkpoints.

    Attributes:
        model: The teacher, in evaluation mode.
        factors: Factor on the distillation of each task that learns from it.
    """

    model: MultiTaskViT
    factors: Mapping[str, float]

    def to(self, device: torch.device, precision: torch.dtype | None) -> "Teacher":
        """Put the model on a device; its backbone multiplies in ``precision``."""
        self.model.to(device)
        self.model.backbone.precision = precision
        return self

    @torch.no_grad()
    def lessons(self, batch: Batch, view: View) -> dict[str, Any]:
        """Return what the tasks of a view are to learn about a batch, by task."""
        tasks = [task for task in self.model.of_view(view) if task.name in self.factors]
        if not tasks:
            return {}
        predictions = self.model(batch.images, view)
        return {task.name: task.teach(predictions[task.name]) for task in tasks}

    def weigh(self, terms: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Multiply the terms of distillation, ``task/distill_...``, by the factor of their task."""
        return {name: value * self._factor(*name.split("/")) for name, value in terms.items()}

    def _factor(self, task: str, term: str) -> float:
        return self.factors.get(task, 1.0) if term.startswith("distill_") else 1.0


def with_teacher_checksum(config: RunConfig) -> RunConfig:
    """Return settings that hold the checksum of the teacher's file.

    Raises:
        CheckpointError: the file is missing, or not the one that the settings name by its checksum.
        ConfigError: there are settings of distillation and no teacher.
    """
    table = config.distill
    if not table.teacher:
        if table != DistillConfig(token=table.token):
            raise ConfigError("config: distill has settings, but distill.teacher is empty; name a file.")
        return config
    path = Path(table.teacher)
    if not path.is_file():
        raise CheckpointError(
            f"distill.teacher {path}: no such file; give one, as `mtvit convert` or a run writes it."
        )
    found = checksum(path)
    if table.sha256 not in ("", found):
        raise CheckpointError(
            f"distill.teacher {path}: its SHA-256 is {found[:12]}..., but distill.sha256 is "
            f"{table.sha256[:12]}...; give the file that the run began with."
        )
    return config.model_copy(update={"distill": table.model_copy(update={"sha256": found})})


def open_teacher(table: DistillConfig, student: MultiTaskViT) -> Teacher | None:
    """Load the teacher of a run and hold it to the student; None where there is none.

    Raises:
        ConfigError: a task is not trained or does not distil, or teacher and student do not fit.
        CheckpointError: the teacher cannot be loaded, or lacks a task.
    """
    if not table.teacher:
        return None
    tasks = {task.name: task for task in student.task_list}
    names = table.tasks or tuple(tasks)
    _check_names(table, names, list(tasks))
    for name in names:
        if not tasks[name].teaches:
            raise ConfigError(
                f"distill: task {name!r} does not distil; leave it out of distill.tasks, which now holds "
                f"{', '.join(names)}."
            )
    where = f"distill.teacher {table.teacher}"
    try:
        model = load(table.teacher, names)
    except CheckpointError as cause:
        raise CheckpointError(f"distill: {cause}") from None
    _check_categories(where, model.categories, student.categories)
    for task in model.task_list:
        _check_task(where, task, tasks[task.name], model, student)
    factors = {name: table.weight * table.task_weights.get(name, 1.0) for name in names}
    return Teacher(model.eval().requires_grad_(requires_grad=False), factors)


def _check_names(table: DistillConfig, names: Sequence[str], trained: Sequence[str]) -> None:
    for setting, named, allowed in (("tasks", names, trained), ("task_weights", table.task_weights, names)):
        for odd in [name for name in named if name not in allowed][:1]:
            raise ConfigError(
                f"config: distill.{setting} names {odd!r}; the tasks that can learn from the teacher are "
                f"{', '.join(allowed)}.{did_you_mean(odd, allowed)}"
            )


def _check_categories(where: str, teacher: Categories, student: Categories) -> None:
    if len(teacher) != len(student):
        raise ConfigError(
            f"{where}: it knows {len(teacher)} categories, the data have {len(student)}; a teacher is to "
            "know those of the data, in their order."
        )
    for known, wanted in zip(teacher, student, strict=True):
        if (known.id, known.name) != (wanted.id, wanted.name):
            raise ConfigError(
                f"{where}: it knows category {known.id} ({known.name}) where the data have {wanted.id} "
                f"({wanted.name}); a teacher is to know those of the data, in their order."
            )
        if _keypoints(known) != _keypoints(wanted):
            raise ConfigError(
                f"{where}: its keypoints of category {wanted.name!r} are others than those of the data; a "
                "teacher is to have the same skeleton."
            )


def _keypoints(category: Category) -> tuple[str, ...]:
    return () if category.keypoints is None else category.keypoints.names


def _check_task(
    where: str, theirs: AnyTask, ours: AnyTask, teacher: MultiTaskViT, student: MultiTaskViT
) -> None:
    if theirs.view != ours.view:
        raise ConfigError(
            f"{where}: its task {ours.name!r} looks at the {theirs.view}, that of the run at the "
            f"{ours.view}; give both variants with the same view."
        )
    if theirs.view == "person" and theirs.crop != ours.crop:
        raise ConfigError(
            f"{where}: its task {ours.name!r} looks at {theirs.crop!r} crops, that of the run at "
            f"{ours.crop!r} ones; give both variants with the same crops."
        )
    sizes = [_size(model, ours.view) for model in (teacher, student)]
    if sizes[0] != sizes[1]:
        setting = "image_size" if ours.view == "image" else "person_size"
        raise ConfigError(
            f"{where}: its task {ours.name!r} sees {sizes[0]}, that of the run {sizes[1]}; give the run the "
            f"teacher's model.{setting} and a backbone with the same patch."
        )


def _size(model: MultiTaskViT, view: View) -> str:
    (rows, columns), (height, width) = model.canvases[view], model.backbone.spec.patch
    return f"{rows} x {columns} pixels in patches of {height} x {width}"
