"""One group of queries for det, seg, pose and a stranger's task: trained, evaluated, exported, predicted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import mtvit_core
from mtvit_core.evaluation.consistency import Consistency
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_train.build.data import read_data, read_split
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.samples.images import collate
from mtvit_train.engine.evaluate import evaluate_in_detail
from mtvit_train.scenes.writer import write_scenes
from support.commands.installed_example import installed

TASKS = ("det", "seg", "pose", "spots")
SETTINGS = (
    'model.queries="instance"',
    'model.backbone="vit_tiny_patch16_224"',
    "model.options={patch_size=16, embed_dim=24, depth=3, num_heads=2}",
    "model.image_size=[64, 64]",
    "train.batch_size=4",
    "train.threads=1",
    'train.precision="fp32"',
    *(f"tasks.{task}.queries=12" for task in TASKS),
    *(f"tasks.{task}.blocks=2" for task in TASKS),
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Some scenes, while the stranger's task is installed."""
    folder = tmp_path_factory.mktemp("groups")
    with installed("spots", tmp_path_factory.mktemp("spots")):
        write_scenes(folder / "scenes", train=8, val=3, seed=0, size=64)
        yield folder / "scenes"


def run_of(scenes: Path, *more: str, plugins: tuple[str, ...] = TASKS) -> RunConfig:
    kept = [s for s in SETTINGS if not s.startswith("tasks.") or s.split(".")[1] in plugins]
    return read_run(None, {"plugins": plugins, "data": str(scenes)}, (*kept, *more))


def batch_and_model(scenes: Path, *more: str) -> tuple[Batch, MultiTaskViT]:
    config = run_of(scenes, *more)
    data = read_data(config, scenes).train
    model = make_model(config, data.categories).train()
    split = make_split(config, model, data, training=True)
    return collate([split.views["image"][(0, index)] for index in range(4)]), model


def with_labels(one: Annotations, *kinds: str) -> Annotations:
    """The same image with some kinds of label only."""
    return replace(
        one,
        masks=one.masks if "masks" in kinds else None,
        keypoints=one.keypoints if "keypoints" in kinds else None,
        has=frozenset(kinds),
    )


def matches(model: MultiTaskViT, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Which query each task's loss is told for each annotation: by task, image and row, at the output."""
    seen: dict[str, list[Any]] = {}
    for task in model.task_list:

        def loss(predictions: Any, targets: Any, match: Any, task: Any = task) -> dict[str, torch.Tensor]:
            seen[task.name] = [
                {int(targets.objects[i, m]): int(match.query[-1, i, m]) for m in range(count)}
                for i, count in enumerate(targets.counts)
            ]
            return {}

        monkeypatch.setattr(task, "loss", loss)
    model.losses(batch)
    return seen


def test_an_object_has_one_query_for_every_task(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, model = batch_and_model(scenes)
    found = matches(model, batch, monkeypatch)
    assert set(found) == set(TASKS)
    for image in range(4):
        boxes = found["det"][image]
        assert len(boxes) == len(set(boxes.values())) == len(batch.annotations[image])
        assert found["spots"][image] == boxes
        assert found["seg"][image].items() <= boxes.items()
        assert found["pose"][image].items() <= boxes.items()
    assert any(found["pose"])


def test_the_cost_of_an_object_is_that_of_the_labels_it_has(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image 0 has boxes, 1 masks, 2 keypoints, 3 nothing: a task without labels has no say."""
    batch, model = batch_and_model(scenes)
    kinds: tuple[tuple[str, ...], ...] = (("boxes",), ("masks",), ("keypoints",), ())
    partly = tuple(with_labels(one, *k) for one, k in zip(batch.annotations, kinds, strict=True))
    found = matches(model, replace(batch, annotations=partly), monkeypatch)
    has = {name: [bool(rows) for rows in images] for name, images in found.items()}
    people = [bool(rows) for rows in found["pose"]]
    assert has["det"] == has["spots"] == [True, False, False, False]
    assert has["seg"] == [False, True, False, False]
    assert people[:2] + people[3:] == [False, False, False]


def test_labels_of_one_task_teach_the_head_of_no_other(scenes: Path) -> None:
    batch, model = batch_and_model(scenes)
    boxes_only = replace(batch, annotations=tuple(with_labels(one, "boxes") for one in batch.annotations))
    terms = model.losses(boxes_only)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    reached = {
        task
        for task in TASKS
        for weight in model.modules_of(task).parameters()
        if weight.grad is not None and weight.grad.any()
    }
    assert reached == {"det", "spots"}
    assert all(value == 0 for name, value in terms.items() if name.startswith(("seg/", "pose/")))
    assert model.instance_group is not None
    assert any(weight.grad.any() for weight in model.instance_group.parameters() if weight.grad is not None)


def test_a_run_and_what_it_gives(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--plugins", ",".join(TASKS), "--data", scenes, "--out", out, "--steps", "3"]
    more = [
        word
        for setting in (*SETTINGS, "records.min_score=0.0", "records.worst=1")
        for word in ("--set", setting)
    ]
    result = CliRunner().invoke(main, [str(word) for word in (*words, *more)])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    metrics = next(record for record in reversed(records) if "det/AP" in record)
    assert {f"{task}/AP" for task in TASKS} | {"link/score"} <= metrics.keys()
    model = mtvit_core.load(out / "model.safetensors")
    assert all(model.shares(task) for task in TASKS)
    image = str(next((scenes / "val2017").iterdir()))
    found = model.predict([image])[0].instances
    by = [set(tasks.split("+")) for tasks in found.tasks]
    assert any({"det", "seg", "spots"} <= tasks for tasks in by)
    people = [tasks for tasks, name in zip(by, found.names, strict=True) if name == "person"]
    assert any({"det", "seg", "pose"} <= tasks for tasks in people)
    apart = found.apart()
    places: dict[tuple[int | None, int], set[int]] = {}
    for row, (label, link) in enumerate(zip(found.labels.tolist(), found.links, strict=True)):
        for query in [part.query for part in link.findings] if link else [found.queries[row]]:
            places.setdefault((query, label), set()).add(row)
    assert sum(map(len, places.values())) == len(places)  # no query of a class in two objects
    assert None not in apart.queries


def test_evaluation_judges_objects_as_prediction_shows_them(scenes: Path) -> None:
    """Parts below the least score count where another part of their object is above it."""
    config = run_of(scenes)
    val = read_split(config, scenes, "val")
    model = make_model(config, val.categories).eval()
    torch.manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    images = [val.image(i).path for i in range(len(val))]
    scores = torch.cat([found.scores for found in model.predict(images, link=False)])
    least = float(scores.quantile(0.7))
    rows = model.predict(images, min_score=least, link=False)
    assert any((found.scores < least).any() for found in rows)
    shown = Consistency({task.name: frozenset(task.needs) for task in model.task_list}, least)
    shown.update([found.named(i, "") for i, found in enumerate(rows)])
    truth = make_split(config, model, val, training=False)
    metrics = evaluate_in_detail(model, truth, min_score=least).metrics
    assert shown.compute() == pytest.approx(
        {name.removeprefix("link/"): value for name, value in metrics.items() if name.startswith("link/")},
        nan_ok=True,
    )


def test_a_model_with_a_group_can_be_exported(scenes: Path) -> None:
    _, model = batch_and_model(scenes)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    program = mtvit_core.export(model).module()
    expected = model.eval()(images)
    found = program(images)
    torch.testing.assert_close(found["pose/points"], expected["pose"].points, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["seg/mask_logits"], expected["seg"].mask_logits, rtol=1e-5, atol=1e-5)
