"""The teacher of a run: what is refused, in one line each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mtvit_core
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.build import build
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.config.run import RunConfig
from mtvit_train.distillation.teacher import open_teacher, with_teacher_checksum
from support.training.distill_cases import SMALL, fresh, opened, saved, settings, stirred, whole_batch


def refused(config: RunConfig, path: str, **table: Any) -> str:
    """Message with which a teacher is refused."""
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        opened(config, path, **table)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_settings_without_a_teacher_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert with_teacher_checksum(RunConfig()) == RunConfig()
    with pytest.raises(ConfigError) as caught:
        with_teacher_checksum(RunConfig(distill={"weight": 2.0}))
    assert str(caught.value) == ("config: distill has settings, but distill.teacher is empty; name a file.")
    path = tmp_path / "none.safetensors"
    with pytest.raises(CheckpointError) as missing:
        with_teacher_checksum(RunConfig(distill={"teacher": str(path)}))
    assert str(missing.value) == (
        f"distill.teacher {path}: no such file; give one, as `mtvit convert` or a run writes it."
    )


def test_a_teacher_that_lacks_a_task_is_refused(scenes: Path, tmp_path: Path) -> None:
    path = saved(settings(scenes, {"det": {"queries": 5}}), tmp_path / "t.safetensors")
    config = settings(scenes, {"det": {"queries": 5}, "pose": {"queries": 4}})
    assert refused(config, path) == f"distill: checkpoint {path}: it has no task 'pose'; it holds det."
    assert set(opened(config, path, tasks=("det",)).factors) == {"det"}


def test_tasks_that_are_not_trained_or_do_not_distil_are_refused(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(scenes, {"det": {"queries": 5}})
    path = saved(config, tmp_path / "t.safetensors")
    assert refused(config, path, tasks=("dte",)) == (
        "config: distill.tasks names 'dte'; the tasks that can learn from the teacher are det. "
        "Did you mean 'det'?"
    )
    assert refused(config, path, task_weights={"seg": 1.0}) == (
        "config: distill.task_weights names 'seg'; the tasks that can learn from the teacher are det."
    )
    student = fresh(config, 1)
    monkeypatch.delattr("mtvit_det.variant.DetVariant.teach")
    with pytest.raises(ConfigError) as caught:
        open_teacher(DistillConfig(teacher=path), student)
    assert str(caught.value) == (
        "distill: task 'det' does not distil; leave it out of distill.tasks, which now holds det."
    )


def test_other_categories_and_skeletons_are_refused(scenes: Path, tmp_path: Path) -> None:
    config = settings(scenes, {"pose": {"variant": "vitpose-simple"}})
    theirs = stirred(config)
    known, path = theirs.categories, str(tmp_path / "t.safetensors")
    person = known[0]
    assert person.keypoints is not None
    names = person.keypoints.names
    schema = KeypointSchema(("crown", *names[1:]), person.keypoints.skeleton, person.keypoints.flip_pairs)
    cases = {
        "it knows 7 categories, the data have 8; a teacher is to know those of the data, in their order.": (
            known.items[:-1]
        ),
        "it knows category 1 (human) where the data have 1 (person); a teacher is to know those of the data, "
        "in their order.": (replace(person, name="human"), *known.items[1:]),
        "its keypoints of category 'person' are others than those of the data; a teacher is to have the same "
        "skeleton.": (Category(person.id, person.name, schema), *known.items[1:]),
    }
    for message, items in cases.items():
        tasks = {"pose": {"variant": "vitpose-simple"}}
        other = build(theirs.backbone, tasks, Categories(items), person_canvas=(64, 48))
        mtvit_core.save(other, path)
        assert refused(config, path) == f"distill.teacher {path}: {message}"


@pytest.mark.parametrize(
    ("tasks", "model", "message"),
    [
        (
            {"pose": {"queries": 4}},
            {},
            "its task 'pose' looks at the image, that of the run at the person; give both variants "
            "with the same view.",
        ),
        (
            {"pose": {"variant": "tokenpose"}},
            {},
            "its task 'pose' looks at 'centred' crops, that of the run at 'udp' ones; give both "
            "variants with the same crops.",
        ),
        (
            {"pose": {"variant": "vitpose-simple"}},
            {"person_size": (64, 64)},
            "its task 'pose' sees 64 x 64 pixels in patches of 16 x 16, that of the run 64 x 48 pixels in "
            "patches of 16 x 16; give the run the teacher's model.person_size and a backbone with the same "
            "patch.",
        ),
        (
            {"pose": {"variant": "vitpose-simple"}},
            {"options": {**SMALL["options"], "patch_size": 8}},
            "its task 'pose' sees 64 x 48 pixels in patches of 8 x 8, that of the run 64 x 48 pixels in "
            "patches of 16 x 16; give the run the teacher's model.person_size and a backbone with the same "
            "patch.",
        ),
    ],
    ids=["view", "crops", "canvas", "patch"],
)
def test_a_teacher_that_sees_something_else_is_refused(
    scenes: Path, tmp_path: Path, tasks: dict[str, Any], model: dict[str, Any], message: str
) -> None:
    path = saved(settings(scenes, tasks, {**SMALL, **model}), tmp_path / "t.safetensors")
    config = settings(scenes, {"pose": {"variant": "vitpose-simple"}})
    assert refused(config, path) == f"distill.teacher {path}: {message}"


def test_heatmaps_of_another_size_are_refused(scenes: Path) -> None:
    config = settings(scenes, {"pose": {"variant": "vitpose-simple"}})
    model = fresh(config)
    (task,) = model.task_list
    own = model(whole_batch(config, model).images[:1])["pose"]
    with pytest.raises(ConfigError) as caught:
        task.distill(own, replace(own, maps=own.maps[..., :-4, :]))
    assert str(caught.value) == (
        "distill: the teacher's heatmaps have 12 x 12 points, those of tasks.pose 16 x 12; give both the "
        "same variant and patch."
    )
