"""The teacher of a run: what it teaches, what is logged, and that it stays out of the student."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.losses.global_batch import Counts
from mtvit_train.build.data import read_data
from mtvit_train.build.label_counts import exposures
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.cli.main import main
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.data.samples.images import collate
from mtvit_train.distillation.teacher import Teacher
from mtvit_train.engine.gradients import Objective
from mtvit_train.weighting.fixed import FixedConfig, FixedWeights
from support.training.distill_cases import fresh, opened, saved, settings, stirred, unlabelled, whole_batch

PICKED: dict[str, dict[str, Any]] = {"det": {"queries": 5}, "seg": {"queries": 5}, "pose": {"queries": 4}}
LEARNED: dict[str, dict[str, Any]] = {
    "det": {"queries": 5, "variant": "yolos"},
    "seg": {"queries": 6, "variant": "eomt"},
}


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
