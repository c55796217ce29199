"""What the tasks of a group agree on: means over those that find a class, told to all."""

from dataclasses import replace

import pytest
import torch

from mtvit_core.errors import PluginError
from mtvit_core.tasks.consensus import QueryObjects, consensus
from support.models.group_cases import SETTINGS, images, model_of


def test_queries_are_what_their_tasks_agree_on() -> None:
    """Of people three tasks say what a query is, of cups two: pose finds none."""
    model = model_of("det", "seg", "pose")
    with torch.no_grad():  # about as many cups as people
        model.modules_of("det").head.class_embed.bias += torch.tensor([0.0, 1.31])
    said = model(images())
    agreed = model.answers(images(), "image")
    person = torch.stack([said[name].logits[-1, ..., 0] for name in SETTINGS]).mean(0)
    cup = torch.stack([said[name].logits[-1, ..., 1] for name in ("det", "seg")]).mean(0)
    of_cups = torch.stack([said[name].boxes[-1] for name in ("det", "seg")]).mean(0)
    of_people = torch.stack([said[name].boxes[-1] for name in SETTINGS]).mean(0)
    boxes = torch.where((person > cup)[..., None], of_people, of_cups)
    assert 0 < (person > cup).sum() < person.numel()
    for name in SETTINGS:
        classes = torch.stack([person, cup], -1)[..., : 1 if name == "pose" else 2]
        torch.testing.assert_close(agreed[name].logits[-1], classes)
        torch.testing.assert_close(agreed[name].boxes[-1], boxes)
    assert torch.equal(agreed["pose"].quality, said["pose"].quality)
    assert torch.equal(agreed["pose"].points, said["pose"].points)
    assert torch.equal(agreed["seg"].mask_logits, said["seg"].mask_logits)


def test_columns_of_tasks_are_those_of_their_classes() -> None:
    """Of four classes one task finds 3 and 1, in this order, another 1 and 0; nobody finds 2."""
    first = QueryObjects(torch.tensor([[[4.0, 2.0]]]), torch.zeros(1, 1, 4))
    second = QueryObjects(torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 1, 4))
    both = consensus({"a": first, "b": second}, {"a": (3, 1), "b": (1, 0)})
    assert both["a"].logits.tolist() == [[[4.0, 1.0]]]
    assert both["b"].logits.tolist() == [[[1.0, 1.0]]]
    assert both["a"].boxes.tolist() == both["b"].boxes.tolist() == [[[0.0] * 4]]  # 3 is best: the first's
    shared = consensus(
        {"a": replace(first, logits=first.logits - 5), "b": second}, {"a": (3, 1), "b": (1, 3)}
    )
    assert shared["a"].logits.tolist() == [[[0.0, -1.5]]]
    assert shared["b"].boxes.tolist() == [[[0.5] * 4]]


def test_tasks_with_queries_of_their_own_agree_on_nothing() -> None:
    model = model_of("det", "seg", queries="task")
    said, answers = model(images()), model.answers(images(), "image")
    assert all(torch.equal(said[name].logits, answers[name].logits) for name in ("det", "seg"))
    model = model_of("det", "seg", det={"variant": "yolos"})  # seg is alone in the group
    said, answers = model(images()), model.answers(images(), "image")
    assert all(torch.equal(said[name].logits, answers[name].logits) for name in ("det", "seg"))


def test_a_task_that_says_nothing_of_its_queries_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("det", "seg", "pose")
    (seg,) = (task for task in model.task_list if task.name == "seg")
    monkeypatch.setattr(seg, "query_objects", lambda predictions: None)
    said, agreed = model(images()), model.answers(images(), "image")
    assert torch.equal(agreed["seg"].logits, said["seg"].logits)
    both = (said["det"].logits[-1, ..., :1] + said["pose"].logits[-1]) / 2
    torch.testing.assert_close(agreed["pose"].logits[-1], both)
    torch.testing.assert_close(agreed["det"].logits[-1, ..., 1], said["det"].logits[-1, ..., 1])


def test_a_task_says_objects_of_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("det", "seg")
    (seg,) = (task for task in model.task_list if task.name == "seg")
    monkeypatch.setattr(
        seg, "query_objects", lambda said: QueryObjects(said.logits[-1, ..., :1], said.boxes[-1])
    )
    with pytest.raises(PluginError) as caught:
        model.answers(images(), "image")
    assert str(caught.value) == (
        "task 'seg': its query_objects have logits (2, 5, 1) and boxes (2, 5, 4), but its group has "
        "(2, 5, 2) of images, queries and categories of `query_request`; give those of the output in that "
        "form."
    )
