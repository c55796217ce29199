"""The loss of poses: what is labelled teaches, nothing else does, and perfect predictions cost nothing."""

from dataclasses import replace

import pytest
import torch

from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.matching import match_all
from mtvit_core.structures.annotations import Annotations
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.head import PosePredictions
from mtvit_pose.task import PoseTask
from support.tasks.pose_cases import CANVAS, PEOPLE, TASK, batch, make_model, people, perfect, predictions


def losses(
    found: PosePredictions, *annotations: Annotations, task: PoseTask = TASK
) -> dict[str, torch.Tensor]:
    targets = task.targets(list(annotations), CANVAS, torch.device("cpu"))
    cost = task.cost(found, targets)
    return task.loss(found, targets, match_all({"pose": (cost, targets.counts)})["pose"])


def test_unlabelled_images_give_zero_loss_and_zero_gradient():
    model = make_model(queries=5)

    terms = model.losses(batch(people(2, has=frozenset({"boxes"})), people(1, has=frozenset())))
    torch.stack(list(terms.values())).sum().backward()

    assert all(value.item() == 0 for value in terms.values())
    # Every parameter that the loss reaches on labelled images is reached here too, as DDP needs.
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    model.zero_grad(set_to_none=True)
    torch.stack(list(model.losses(batch(people(2), people(1))).values())).sum().backward()
    assert reached == {name for name, p in model.named_parameters() if p.grad is not None}


def test_unlabelled_images_do_not_change_the_loss_of_others():
    found, labelled = predictions(layers=2, images=2), people(2)
    alone = replace(
        found,
        **{
            name: getattr(found, name)[:, :1]
            for name in ("logits", "boxes", "points", "visibility", "quality")
        },
        pick=Pick.among(found.pick.logits[:1], found.pick.boxes[:1], found.pick.index[:1]),
    )

    both = losses(found, labelled, people(1, has=frozenset({"boxes"})))
    one = losses(alone, labelled)

    for name, value in one.items():
        torch.testing.assert_close(both[name], value)


def test_images_without_people_teach_the_class_alone():
    terms = losses(predictions(images=2), people(0), people(0))

    nonzero = {name for name, value in terms.items() if value.item() != 0}
    assert nonzero == {"class", "proposal_class"}
    assert all(torch.isfinite(value) for value in terms.values())


def test_people_without_labelled_keypoints_teach_class_and_box():
    nobody = people(2)
    nobody = replace(nobody, keypoints=torch.zeros_like(nobody.keypoints))

    terms = losses(predictions(), nobody)

    silent = {name for name, value in terms.items() if value.item() == 0}
    assert silent == {"keypoint", "oks", "visibility", "quality"}


def test_unlabelled_keypoints_of_a_person_do_not_matter():
    person = people(1)
    person.keypoints[0, 4:] = 0
    found = predictions()
    moved = replace(found, points=torch.cat([found.points[..., :4, :], found.points[..., 4:, :] + 9], -2))

    first, second = losses(found, person), losses(moved, person)

    assert {name for name in first if not torch.equal(first[name], second[name])} == set()


def test_perfect_predictions_have_no_box_and_keypoint_loss():
    pair = people(2)

    terms = losses(perfect(pair), pair, task=PoseTask(PoseConfig(one_to_many=False), PEOPLE))

    for name in ("class", "l1", "giou", "keypoint", "oks", "quality"):
        assert terms[name].item() == pytest.approx(0, abs=1e-5)


def test_each_person_is_matched_to_the_query_that_shows_it():
    trio = people(3)
    found = perfect(trio)
    targets = TASK.targets([trio], CANVAS, torch.device("cpu"))

    match = match_all({"pose": (TASK.cost(found, targets), targets.counts)})["pose"]

    assert match.query[0, 0, :3].tolist() == [5, 4, 3]


def test_queries_picked_on_a_person_learn_its_pose_but_not_its_class():
    person = people(1)
    targets = TASK.targets([person], CANVAS, torch.device("cpu"))
    found = predictions()
    boxes = torch.cat([targets.boxes[:, :1].expand(1, 3, 4), torch.full((1, 9, 4), 0.01)], 1)
    found = replace(found, pick=Pick.among(found.pick.logits, boxes, found.pick.index))

    grads = {}
    for many in (True, False):
        terms = losses(found, person, task=PoseTask(PoseConfig(one_to_many=many), PEOPLE))
        (grads[many],) = torch.autograd.grad(
            terms["keypoint"] + terms["oks"], found.points, retain_graph=True
        )

    def taught(grad: torch.Tensor) -> set[int]:
        return set(grad[0, 0].flatten(1).any(1).nonzero()[:, 0].tolist())

    (matched,) = taught(grads[False])
    assert taught(grads[True]) == {0, 1, 2, matched}


def test_keypoints_are_read_from_boxes_near_a_person_too() -> None:
    model = make_model(PEOPLE).train()
    task, example = model.task_list[0], people(2)
    found = model(batch(example).images)["pose"]
    targets = task.targets([example], found.canvas, torch.device("cpu"))
    match = match_all({"pose": (task.cost(found, targets), targets.counts)})["pose"]
    terms = task.loss(found, targets, match)
    assert terms["denoising_keypoint"] > 0
    assert terms["denoising_box"] > 0
    reader = model.modules_of("pose").head.reader
    for name in ("denoising_keypoint", "denoising_quality"):
        by_reader = torch.autograd.grad(terms[name], list(reader.say.parameters()), retain_graph=True)
        assert any(gradient.any() for gradient in by_reader)
    without = task.loss(replace(found, reading=None), targets, match)
    assert set(terms) - set(without) == {"denoising_keypoint", "denoising_box", "denoising_quality"}
    model.eval()
    assert model(batch(example).images)["pose"].reading is None


def test_unlabelled_keypoints_teach_no_reader() -> None:
    model = make_model(PEOPLE).train()
    task, example = model.task_list[0], people(2)
    assert example.keypoints is not None
    hidden = replace(example, keypoints=torch.zeros_like(example.keypoints))
    found = model(batch(hidden).images)["pose"]
    targets = task.targets([hidden], found.canvas, torch.device("cpu"))
    match = match_all({"pose": (task.cost(found, targets), targets.counts)})["pose"]
    terms = task.loss(found, targets, match)
    assert terms["denoising_keypoint"] == terms["denoising_quality"] == 0
    assert terms["denoising_box"] > 0
