"""The example of docs/write-a-plugin.md, installed from its own wheel: found, trained beside det, right."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import mtvit_core
from mtvit_core.model.trial import broken_plugins
from mtvit_core.plugins import registry
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.testing import TaskSuite
from mtvit_train.cli.main import main as train_command
from mtvit_train.scenes.scene import CATEGORIES
from support.installed_example import installed

DOCS = Path(__file__).resolve().parents[2] / "docs"
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def presence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example's task module, installed from its wheel with all its metadata; its shapes are checked."""
    with installed("presence", tmp_path_factory.mktemp("presence")) as module:
        yield module


def test_the_example_is_found_by_its_entry_point(presence: ModuleType) -> None:
    found = registry.installed_tasks()["presence"]
    assert (found.distribution, found.entry_point) == ("mtvit-presence", "presence")
    assert found.cls is presence.Presence
    assert broken_plugins() == ()


@pytest.mark.usefixtures("presence")
def test_the_example_trains_beside_det(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ", ".join(f"{key} = {value}" for key, value in TINY.items())
    settings = (
        "scenes.train=2", "scenes.val=2", "scenes.size=64", "train.batch_size=2", "train.steps=1",
        "model.backbone=vit_tiny_patch16_224", f"model.options={{ {options} }}", "model.image_size=[64, 64]",
        "tasks.det.queries=4", "tasks.presence.loss_class=0.5", "train.device=cpu", "train.precision=fp32",
    )  # fmt: skip
    line = ["--plugins", "det,presence", "--out", "runs/presence"]
    done = CliRunner().invoke(train_command, [*line, *(word for s in settings for word in ("--set", s))])
    assert done.exit_code == 0, done.output
    out = tmp_path / "runs" / "presence"
    assert {path.name for path in out.iterdir()} == run_folder()
    metrics = json.loads((out / "metrics.json").read_text())
    assert 0 < metrics["presence/AP"] <= 1
    (record,) = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()[:1])
    assert 0 < record["presence/class"] < 2
    (found, _) = mtvit_core.load(out / "model.safetensors", ["presence"]).predict(
        sorted(map(str, (out / "scenes" / "val2017").iterdir()))
    )
    assert len(found) == 0
    assert sorted(found.labels["presence"].names) == sorted(category["name"] for category in CATEGORIES)


@pytest.mark.usefixtures("presence")
class TestPresence(TaskSuite):
    """The example keeps what the test kit asks."""

    task = "presence"


def run_folder() -> set[str]:
    """Names that training.md lists for the folder of a run that went well."""
    _, _, text = (DOCS / "training.md").read_text(encoding="utf-8").partition("## The run folder")
    text, _, _ = text.partition("\n#")
    cells = re.findall(r"^\| (`[^|]+) \| (?!only where)", text, re.MULTILINE)
    return {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def annotation(labels: list[int], *has: str) -> Annotations:
    """Objects of these labels, all alike."""
    count = len(labels)
    return Annotations(
        boxes=torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(count, 1),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=None,
        keypoints=None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=torch.full((count,), 64.0),
        ids=torch.arange(count),
        has=frozenset(has),
    )


def presence_task(presence: ModuleType) -> Any:
    """The example's task for three categories."""
    items = tuple(mtvit_core.Category(id_, name) for id_, name in ((5, "cat"), (2, "dog"), (9, "emu")))
    return presence.Presence(presence.PresenceConfig(), mtvit_core.Categories(items))


def test_the_example_learns_from_labelled_images_only(presence: ModuleType) -> None:
    presence_ = presence_task(presence)
    truth = [annotation([0, 2, 0], "boxes"), annotation([], "boxes"), annotation([1], "masks")]
    targets = presence_.targets(truth, (32, 32), torch.device("cpu"))
    assert targets.present.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert (targets.counts, targets.labelled.tolist()) == ((2, 0, 0), [True, True, False])
    logits = torch.zeros(3, 3, requires_grad=True)
    predictions = presence.PresencePredictions(logits)
    loss = presence_.loss(predictions, targets, None)["class"]
    assert loss.item() == pytest.approx(np.log(2))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2].tolist() == [0, 0, 0]
    assert torch.equal(logits.grad[:2] < 0, targets.present[:2])


def test_the_example_takes_no_category_for_absent_that_nobody_annotated(presence: ModuleType) -> None:
    presence_ = presence_task(presence)
    known = torch.tensor([True, False, True])
    truth = [replace(annotation([0], "boxes"), annotated=known), annotation([1], "boxes")]
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.5, 0.0]], requires_grad=True)
    predictions = presence.PresencePredictions(logits)
    targets = presence_.targets(truth, (32, 32), torch.device("cpu"))
    presence_.loss(predictions, targets, None)["class"].backward()
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [[False, True, False], [False] * 3]
    evaluator, metas = presence_.evaluator(), [ImageMeta.whole(8, 8, image_id=i) for i in range(2)]
    evaluator.update(presence_.decode(predictions, metas), truth, metas)
    assert evaluator.compute()["AP"] == 1


def test_the_example_ranks_images(presence: ModuleType) -> None:
    presence_ = presence_task(presence)
    metas = [ImageMeta.whole(8, 8, image_id=i) for i in range(4)]
    truth = [
        annotation(labels, *has)
        for labels, has in (([0], ["boxes"]), ([1], ["boxes"]), ([0], ["boxes"]), ([2], []))
    ]
    # Cats: ranked 1, 3; dogs: ranked 2; emus are not labelled.
    logits = torch.tensor([[3.0, 1.0, 0.0], [2.0, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    results = presence_.decode(presence.PresencePredictions(logits), metas)
    first, second = presence_.evaluator(), presence_.evaluator()
    first.update(results[:2], truth[:2], metas[:2])
    second.update(results[1:], truth[1:], metas[1:])
    whole = presence_.evaluator()
    whole.merge([first.state(), second.state()])
    assert whole.compute()["AP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert np.isnan(presence_.evaluator().compute()["AP"])
