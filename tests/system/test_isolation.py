"""Isolated tasks answer the same, whichever others are in the model and in whatever order."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from itertools import combinations, permutations
from typing import Any

import pytest
import torch

from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.data.formats.coco_categories import parse_category
from mtvit_train.scenes.scene import CATEGORIES
from support.commands.installed_example import installed

#: Every task of ours with isolated queries or none, on whole images and on person crops, and the examples.
TASKS: dict[str, dict[str, Any]] = {
    "det": {"queries": 5},
    "seg": {"queries": 4},
    "pose": {"queries": 3},
    "presence": {},
    "semantic": {"channels": 8},
    "depth": {"channels": 8},  # the same decoder
}
PAIRS = list(combinations(TASKS, 2))
LARGEST = 1e-6


@pytest.fixture(scope="module", autouse=True)
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the examples."""
    with ExitStack() as stack:
        for name in ("presence",):
            stack.enter_context(installed(name, tmp_path_factory.mktemp(name)))
        yield


def model_of(*names: str, settings: dict[str, dict[str, Any]] = TASKS) -> MultiTaskViT:
    """A model of these tasks, whose weights depend on their names alone."""
    backbone = create_backbone(
        "vit_tiny_patch16_224", (48, 64), options={"embed_dim": 24, "depth": 3, "num_heads": 2}
    )
    model = build(backbone, {name: settings[name] for name in names}, CLASSES, person_canvas=(64, 48))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            generator = torch.Generator().manual_seed(sum(map(ord, name)))
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


def tensors(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of predictions, by its path."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, tuple | list):
        value = dict(enumerate(value))
    items = value.items() if isinstance(value, dict) else ()
    return {key: found for name, part in items for key, found in tensors(part, f"{path}.{name}").items()}


def answers(model: MultiTaskViT, task: str, training: bool) -> dict[str, torch.Tensor]:
    """What a task says of two images of noise; with deep supervision in training."""
    pixels = torch.Generator().manual_seed(1)
    view = next(t.view for t in model.task_list if t.name == task)
    images = torch.randint(0, 256, (2, 3, *model.canvases[view]), dtype=torch.uint8, generator=pixels)
    torch.manual_seed(2)
    with torch.no_grad():
        return tensors(model.train(training)(images, view)[task])


def check_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first
    assert first.keys() == second.keys()
    for path, value in first.items():
        assert value.shape == second[path].shape, path
        assert (value.double() - second[path].double()).abs().max() <= LARGEST, path


CLASSES = Categories(tuple(parse_category(dict(entry), "scenes", []) for entry in CATEGORIES))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_pair_answers_as_each_alone(one: str, other: str, training: bool) -> None:
    for order in permutations((one, other)):
        together = model_of(*order)
        for name in order:
            check_equal(answers(together, name, training), answers(model_of(name), name, training))


def test_all_together_in_any_order_answer_as_each_alone() -> None:
    names = list(TASKS)
    alone = {name: answers(model_of(name), name, False) for name in names}
    for order in (names, names[::-1], names[2:] + names[:2]):
        together = model_of(*order)
        for name in names:
            check_equal(answers(together, name, False), alone[name])


def test_person_crops_are_untouched_by_tasks_of_whole_images() -> None:
    settings = {**TASKS, "pose": {"variant": "vitpose"}}
    alone = answers(model_of("pose", settings=settings), "pose", False)
    for order in (("det", "pose", "seg"), ("pose", "seg", "det")):
        check_equal(answers(model_of(*order, settings=settings), "pose", False), alone)


def test_joint_queries_are_seen() -> None:
    """The comparison can fail: published kinds of attention let context read queries."""
    settings = {**TASKS, "det": {"variant": "yolos", "queries": 5}}
    alone = answers(model_of("presence"), "presence", False)
    beside = answers(model_of("det", "presence", settings=settings), "presence", False)
    with pytest.raises(AssertionError):
        check_equal(beside, alone)


@pytest.mark.parametrize("name", TASKS)
def test_weights_and_losses_stand_under_the_name_of_the_task(name: str) -> None:
    model = model_of(*TASKS)
    mine = [key for key in model.state_dict() if not key.startswith(("backbone.", "decoders."))]
    assert {key.split(".")[1] for key in mine} == set(TASKS)
    assert any(key.startswith(f"tasks.{name}.") for key in mine)
