"""The teacher of a run: what is refused, what is logged, and that it stays out of the student."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.losses.global_batch import Counts
from mtvit_core.model.build import build
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.build.data import read_data
from mtvit_train.build.label_counts import exposures
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.cli.main import main
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.config.run import RunConfig
from mtvit_train.data.samples.images import collate
from mtvit_train.distillation.teacher import Teacher, open_teacher, with_teacher_checksum
from mtvit_train.engine.gradients import Objective
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import FixedConfig, FixedWeights
from support.distill_cases import SMALL, fresh, saved, settings, stirred, unlabelled, whole_batch

PICKED: dict[str, dict[str, Any]] = {"det": {"queries": 5}, "seg": {"queries": 5}, "pose": {"queries": 4}}
LEARNED: dict[str, dict[str, Any]] = {
    "det": {"queries": 5, "variant": "yolos"},
    "seg": {"queries": 6, "variant": "eomt"},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=6, val=2, seed=3, size=64)
    return folder


def opened(config: RunConfig, path: str, **table: Any) -> Teacher:
    """The teacher of a student with these settings."""
    found = open_teacher(DistillConfig(teacher=path, **table), fresh(config, 1))
    assert found is not None
    return found


# What it teaches


@pytest.mark.parametrize("taught_by", [PICKED, LEARNED], ids=["picked", "learned"])
@pytest.mark.parametrize("learnt_by", [PICKED, LEARNED], ids=["picked", "learned"])
def test_variants_teach_each_other(
    scenes: Path, tmp_path: Path, taught_by: dict[str, Any], learnt_by: dict[str, Any]
) -> None:
    names = tuple(taught_by.keys() & learnt_by.keys())
    path = saved(settings(scenes, {name: taught_by[name] for name in names}), tmp_path / "t.safetensors")
    config = settings(scenes, {name: learnt_by[name] for name in names})
    student, teacher = stirred(config, 1).train(), opened(config, path)
    batch = unlabelled(whole_batch(config, student))
    terms = student.losses(batch, "image", teacher.lessons(batch, "image"))
    heads = {n: p for n, p in student.named_parameters() if "bbox_embed" in n or "mask_head" in n}
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    distilled = {name: value.item() for name, value in terms.items() if "/distill_" in name}
    assert {name.split("/")[0] for name in distilled} == set(names)
    assert all(value > 0 for value in distilled.values())
    assert all(value.item() == 0 for name, value in terms.items() if "/distill_" not in name)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in heads.values())


@pytest.mark.parametrize(
    "tasks", [PICKED, LEARNED, {"pose": {"variant": "tokenpose"}}], ids=["picked", "learned", "tokenpose"]
)
def test_nothing_is_left_to_learn_from_oneself(scenes: Path, tasks: dict[str, Any]) -> None:
    config = settings(scenes, tasks)
    model = stirred(config)
    batch = whole_batch(config, model)
    (view,) = model.views
    teacher = Teacher(model, dict.fromkeys(tasks, 1.0))
    terms = model.losses(batch, view, teacher.lessons(batch, view))
    # A teacher that refines teaches its refined keypoints, and its chances below 0.1 count as background.
    left = {
        n: v.item() for n, v in terms.items() if "/distill_" in n and not n.endswith(("keypoint", "class"))
    }
    assert len(left) >= len(tasks)
    assert max(left.values()) < 2e-4


def test_people_without_keypoints_are_cropped_where_a_teacher_looks_at_them(
    scenes: Path, tmp_path: Path
) -> None:
    tasks: dict[str, Any] = {"pose": {"variant": "vitpose-simple"}, "det": {"queries": 4}}
    config = settings(scenes, tasks)
    path, student = saved(config, tmp_path / "t.safetensors"), stirred(config, 1)
    packed = read_data(config, scenes).train
    odd = np.arange(packed.instances) % 2 == 1
    packed = replace(packed, keypoint_rows=np.where(odd, -1, packed.keypoint_rows).astype(np.int32))

    def split(training: bool = True, **table: Any) -> DataSplit:
        asked = config.model_copy(update={"distill": DistillConfig(**table)})
        return make_split(asked, student, packed, training=training)

    taught, plain = split(teacher=path).views["person"], split().views["person"]
    others = (split(teacher=path, tasks=("det",)), split(training=False, teacher=path))
    assert len(taught) > len(plain)
    assert all(len(other.views["person"]) == len(plain) for other in others)
    seen = {one.task: one for one in exposures(config, student, split(teacher=path))}
    shown = config.train.steps * config.train.batch_size
    assert seen["pose"].samples == round(shown * len(plain) / len(taught))
    samples = [taught[0, i] for i in range(len(taught))]
    batch = collate([sample for sample in samples if "keypoints" not in sample.annotations.has])
    terms = student.losses(batch, "person", opened(config, path).lessons(batch, "person"))
    assert terms["pose/heatmap"].item() == 0
    assert terms["pose/distill_heatmap"].item() > 0


def test_terms_are_weighed_and_processes_count_together(scenes: Path, tmp_path: Path) -> None:
    config = settings(scenes, PICKED)
    path = saved(config, tmp_path / "t.safetensors")
    student = stirred(config, 1)
    batch = whole_batch(config, student)
    plain, weighed = (
        Objective(student, FixedWeights(FixedConfig(), tuple(PICKED)), opened(config, path, **table))
        for table in ({}, {"weight": 3.0, "task_weights": {"det": 0.5}})
    )
    one, other = plain({"image": batch}), weighed({"image": batch})
    for name, value in one.items():
        factor = (1.5 if name.startswith("det") else 3.0) if "/distill_" in name else 1.0
        assert other[name].item() == pytest.approx(factor * value.item(), rel=1e-5), name
    counts, halves = Counts(), [batch.part(0, 3), batch.part(3, 6)]
    for half in halves:
        with counts.counting():
            plain({"image": half}, counting=True)
    parts = []
    for half in halves:
        with counts.handing_out():
            parts.append(plain({"image": half}))
    for name in (name for name in one if "/distill_" in name):
        mean = (parts[0][name] + parts[1][name]).item() / 2
        assert mean == pytest.approx(one[name].item(), rel=1e-4, abs=1e-6), name


def test_the_teacher_is_no_part_of_what_is_trained(scenes: Path, tmp_path: Path) -> None:
    config = settings(scenes, {"det": {"queries": 5}})
    teacher = opened(config, saved(config, tmp_path / "t.safetensors"))
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    student = fresh(config, 1)
    objective = Objective(student, FixedWeights(FixedConfig(), ("det",)), teacher)
    assert len(list(objective.parameters())) == len(list(student.parameters())) + 1
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
    batch = whole_batch(config, student)
    torch.stack(list(objective({"image": batch}).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(before[name], value) for name, value in teacher.model.state_dict().items())


# Runs


def train(*arguments: str) -> Result:
    """A run of two updates through the command."""
    sets = [
        "model.backbone=vit_tiny_patch16_224",
        "model.options={patch_size=16, embed_dim=24, depth=2, num_heads=2}",
        "model.image_size=[64, 64]",
        "train.batch_size=2",
        "train.log_every=1",
        "train.precision=fp32",
        "tasks.det.queries=5",
    ]
    given = [part for one in sets for part in ("--set", one)]
    return CliRunner().invoke(main, ["--plugins", "det", "--steps", "2", *given, *arguments])


def test_a_run_logs_its_distillation_and_is_resumed_with_the_same_file_only(
    scenes: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "t.safetensors", tmp_path / "run"
    saved(settings(scenes, {"det": {"queries": 5}}), path)
    given = ("--data", str(scenes), "--out", str(out), "--set", f"distill.teacher={path}")
    result = train(*given)
    assert result.exit_code == 0, result.output
    table = json.loads((out / "config.json").read_text())["distill"]
    assert (table["teacher"], len(table["sha256"])) == (str(path), 64)
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    logged = [record for record in records if record["kind"] == "train"]
    terms = {"class", "l1", "giou", "proposal_class", "proposal_box"}
    assert len(logged) == 2
    assert all({f"det/distill_{term}" for term in terms} <= record.keys() for record in logged)
    assert not any("teacher" in key for key in mtvit_core.load(out / "model.safetensors").state_dict())
    (out / "finished.json").unlink()
    assert train("--out", str(out), "--resume").exit_code == 0
    (out / "finished.json").unlink()
    mtvit_core.save(stirred(settings(scenes, {"det": {"queries": 5}}), 7), path)
    refused = train("--out", str(out), "--resume")
    assert refused.exit_code == 2
    assert f"distill.teacher {path}: its SHA-256 is " in refused.output
    assert f"..., but distill.sha256 is {table['sha256'][:12]}...; give the file" in refused.output


# Errors


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
