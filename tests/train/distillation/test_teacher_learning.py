"""A student learns faster with a teacher than without: scenes of which it has the labels of two only."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtvit_train.distillation.teacher import Teacher
from mtvit_train.scenes.writer import write_scenes
from support.training.distill_cases import SMALL, error, fresh, learn, settings, unlabelled, whole_batch

MODEL = {**SMALL, "options": {"patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}}
LABELLED = 2
TASKS: dict[str, dict[str, dict[str, Any]]] = {
    "det": {"det": {"queries": 8, "blocks": 1}},
    "seg": {"seg": {"queries": 8, "blocks": 1}},
    "pose": {"pose": {"queries": 8, "blocks": 1}},
    "vitpose": {"pose": {"variant": "vitpose-simple"}},
}
#: Updates of the teacher and of the student, and the largest ratio of the student's loss with teacher to that
#: without, on the images without labels.
LESSONS = {"det": (50, 30, 0.8), "seg": (40, 20, 0.9), "pose": (60, 40, 0.9), "vitpose": (40, 20, 0.8)}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=8, val=2, seed=3, size=64)
    return folder


@pytest.mark.parametrize(
    "case", ["det", "vitpose", *(pytest.param(case, marks=pytest.mark.slow) for case in ("seg", "pose"))]
)
def test_a_student_learns_faster_with_a_teacher(scenes: Path, case: str) -> None:
    tasks, (taught_for, steps, ratio) = TASKS[case], LESSONS[case]
    config = settings(scenes, tasks, MODEL)
    teacher = fresh(config)
    batch = whole_batch(config, teacher)
    learn(teacher, config, batch, taught_for)
    hidden, given = batch.part(LABELLED, len(batch)), unlabelled(batch, LABELLED)
    taught = Teacher(teacher.eval(), dict.fromkeys(tasks, 1.0))
    alone = error(learn(fresh(config, 1), config, given, steps), hidden)
    helped = error(learn(fresh(config, 1), config, given, steps, taught), hidden)
    assert helped < ratio * alone, (helped, alone)


def test_only_the_teacher_teaches_images_without_labels(scenes: Path) -> None:
    config = settings(scenes, TASKS["vitpose"], MODEL)
    student, teacher = fresh(config, 1), fresh(config)
    batch = unlabelled(whole_batch(config, student))
    before = {name: value.clone() for name, value in student.state_dict().items()}
    learn(student, config, batch, 1)
    weights = {name for name, _ in student.named_parameters()}
    moved = {
        n for n, v in student.state_dict().items() if n in weights and (v - before[n]).abs().max() > 1e-4
    }
    assert moved == set()  # the weight decay alone is far below
    learn(teacher, config, whole_batch(config, teacher), 3)
    learn(student, config, batch, 1, Teacher(teacher.eval(), {"pose": 1.0}))
    moved = {
        n for n, v in student.state_dict().items() if n in weights and (v - before[n]).abs().max() > 1e-4
    }
    assert "tasks.pose.head.final_layer.weight" in moved
    assert torch.isfinite(torch.tensor(error(student, batch)))
