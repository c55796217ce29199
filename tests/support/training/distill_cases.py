"""Teachers, students and batches of scenes for the tests of distillation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import mtvit_core
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.config.run import RunConfig
from mtvit_train.data.loading.loader import load
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.distillation.teacher import Teacher, open_teacher
from mtvit_train.engine.gradients import Objective
from mtvit_train.weighting.fixed import make_weighting

SMALL: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "options": {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2},
    "image_size": (64, 64),
    "person_size": (64, 48),
}


def settings(
    data: Path, tasks: dict[str, dict[str, Any]], model: dict[str, Any] = SMALL, **more: Any
) -> RunConfig:
    """Settings of a run without augmentation."""
    return RunConfig(
        plugins=tuple(tasks), data=str(data), model=model, tasks=tasks, augment={"enabled": False}, **more
    )


def fresh(config: RunConfig, seed: int = 0) -> MultiTaskViT:
    """A model of these settings, in training mode."""
    train = config.train.model_copy(update={"seed": seed})
    categories = read_data(config, Path(str(config.data))).train.categories
    return make_model(config.model_copy(update={"train": train}), categories).train()


def stirred(config: RunConfig, seed: int = 0) -> MultiTaskViT:
    """A model that says different things about different images, in evaluation mode."""
    model = fresh(config, seed)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3 if value.ndim < 2 else value[0].numel() ** -0.5)
    return model.eval()


def saved(config: RunConfig, path: Path) -> str:
    """File of a stirred model."""
    mtvit_core.save(stirred(config), path)
    return str(path)


def whole_batch(config: RunConfig, model: MultiTaskViT) -> Batch:
    """All training samples of the model's one view."""
    packed = read_data(config, Path(str(config.data))).train
    (view,) = model.views
    samples = make_split(config, model, packed, training=True).views[view]
    return next(load(samples, EpochSampler(len(samples), len(samples), 0), 0))


def unlabelled(batch: Batch, start: int = 0) -> Batch:
    """The batch, without a label from image ``start`` on."""
    labels = [
        entry if i < start else replace(entry, has=frozenset()) for i, entry in enumerate(batch.annotations)
    ]
    return Batch(batch.images, tuple(labels), batch.meta)


def learn(
    model: MultiTaskViT, config: RunConfig, batch: Batch, steps: int, teacher: Teacher | None = None
) -> MultiTaskViT:
    """Make some updates on one batch."""
    (view,) = model.views
    objective = Objective(model, make_weighting(config, task_names(config)), teacher)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(objective({view: batch}).values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def error(model: MultiTaskViT, batch: Batch) -> float:
    """The loss on labelled images."""
    (view,) = model.views
    return sum(value.item() for value in model.losses(batch, view).values())


def opened(config: RunConfig, path: str, **table: Any) -> Teacher:
    """The teacher of a student with these settings."""
    found = open_teacher(DistillConfig(teacher=path, **table), fresh(config, 1))
    assert found is not None
    return found
