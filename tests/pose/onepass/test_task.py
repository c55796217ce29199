from dataclasses import replace

import pytest
import torch

from mtvit_core.backbones.tokens import Pick
from mtvit_core.errors import ConfigError
from mtvit_core.losses.matching import match_all
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_core.structures.categories import Categories, Category
from mtvit_pose.config import PoseConfig
from mtvit_pose.oks import DEFAULT_SIGMA
from mtvit_pose.onepass.head import PosePredictions
from mtvit_pose.onepass.targets import pose_targets
from mtvit_pose.task import PoseTask
from support.pose_cases import (
    PEOPLE,
    TWO_SCHEMAS,
    images,
    make_model,
    people,
    predictions,
    task_of,
    whole,
)

CANVAS = (64, 96)
TASK = PoseTask(PoseConfig(), PEOPLE)


def batch(*annotations: Annotations) -> Batch:
    return Batch(images(len(annotations)), annotations, tuple(whole(len(annotations))))


def perfect(annotations: Annotations, categories: Categories = PEOPLE) -> PosePredictions:
    """Predictions whose query 5 - i is exactly person i, and the others say nothing."""
    targets = pose_targets([annotations], categories, CANVAS, torch.device("cpu"))
    classes = len(categories.keypoint_labels)
    found = predictions(classes=classes, keypoints=categories.max_keypoints)
    logits = torch.full_like(found.logits, -20.0)
    boxes, points = found.boxes.detach().clone(), found.points.detach().clone()
    for i in range(len(annotations)):
        logits[0, 0, 5 - i, targets.classes[0, i]] = 20.0
        boxes[0, 0, 5 - i], points[0, 0, 5 - i] = targets.boxes[0, i], targets.points[0, i]
    return replace(found, logits=logits, boxes=boxes, points=points, quality=torch.full((1, 1, 6), 20.0))


def losses(
    found: PosePredictions, *annotations: Annotations, task: PoseTask = TASK
) -> dict[str, torch.Tensor]:
    targets = task.targets(list(annotations), CANVAS, torch.device("cpu"))
    cost = task.cost(found, targets)
    return task.loss(found, targets, match_all({"pose": (cost, targets.counts)})["pose"])


@pytest.mark.parametrize(("training", "layers"), [(True, 2), (False, 1)])
def test_shapes(training: bool, layers: int):
    model = make_model(queries=5).train(training)

    found = model(images(3))["pose"]

    assert found.logits.shape == (layers, 3, 5, 1)
    assert found.boxes.shape == (layers, 3, 5, 4)
    assert found.points.shape == (layers, 3, 5, 17, 2)
    assert found.maps.shape == (layers, 3, 32, 16, 24)
    assert found.canvas == CANVAS


def test_targets_are_relative_and_padded():
    two, none, unlabelled = people(2), people(0), people(3, has=frozenset({"boxes"}))
    dog = replace(two, labels=torch.tensor([1, 0]))

    targets = pose_targets([two, none, unlabelled, dog], PEOPLE, CANVAS, torch.device("cpu"))

    assert targets.counts == (2, 0, 0, 1)
    assert targets.labelled.tolist() == [True, True, False, True]
    assert targets.valid.tolist() == [[True, True], [False, False], [False, False], [True, False]]
    torch.testing.assert_close(targets.boxes[0], xyxy_to_cxcywh(two.boxes) / torch.tensor([96, 64, 96, 64]))
    torch.testing.assert_close(targets.points[0], two.keypoints[..., :2] / torch.tensor([96, 64]))


def test_crowds_are_left_out():
    crowd = replace(people(2), is_crowd=torch.tensor([True, False]))

    assert pose_targets([crowd], PEOPLE, CANVAS, torch.device("cpu")).counts == (1,)


def test_several_schemas_are_padded_to_the_longest():
    pair = people(2, categories=TWO_SCHEMAS, labels=[0, 2])

    targets = pose_targets([pair], TWO_SCHEMAS, CANVAS, torch.device("cpu"))

    assert targets.classes.tolist() == [[0, 1]]
    assert targets.exists[0].sum(-1).tolist() == [3, 17]
    assert targets.known[0].sum(-1).tolist() == [3, 17]
    assert (targets.sigmas[0, 0] == DEFAULT_SIGMA).all()
    assert targets.sigmas[0, 1, 11].item() == pytest.approx(0.107)


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


def test_decoding_perfect_predictions_gives_back_the_people():
    pair = people(2)

    (result,) = TASK.decode(perfect(pair), whole(1, scale=2.5))

    assert (result.height, result.width) == (160, 240)
    assert result.names[:2] == ("person", "person")
    assert result.scores[:2].tolist() == pytest.approx([1, 1])
    assert (result.scores[2:] < 1e-4).all()
    order = result.boxes[:2, 0].argsort()
    truth = pair.boxes[:, 0].argsort()
    torch.testing.assert_close(result.boxes[order], 2.5 * pair.boxes[truth])
    torch.testing.assert_close(result.keypoints[order][..., :2], 2.5 * pair.keypoints[truth][..., :2])


def test_keypoints_beyond_a_schema_are_nan():
    pair = people(2, categories=TWO_SCHEMAS, labels=[0, 2])
    task = PoseTask(PoseConfig(), TWO_SCHEMAS)

    (result,) = task.decode(perfect(pair, TWO_SCHEMAS), whole(1))

    hand = result.names.index("hand")
    person = result.names.index("person")
    assert result.keypoints[hand, :3].isfinite().all()
    assert result.keypoints[hand, 3:].isnan().all()
    assert result.keypoints[person].isfinite().all()
    assert len(result.to_coco()[hand]["keypoints"]) == 9


def test_results_are_the_best_top_k():
    task = PoseTask(PoseConfig(top_k=4, nms=1), PEOPLE)
    found = predictions(queries=6)

    (result,) = task.decode(found, whole(1))

    product = found.logits[-1, 0, :, 0].sigmoid() * found.quality[-1, 0].sigmoid()
    expected = product.sqrt().sort(descending=True)[0]
    torch.testing.assert_close(result.scores, expected[:4])


def test_of_two_people_in_one_place_the_better_is_a_result():
    found = predictions(queries=3)
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]])
    found = replace(found, boxes=boxes[None, None], logits=torch.tensor([1.0, 3.0, 2.0]).view(1, 1, 3, 1))
    found = replace(found, quality=torch.zeros(1, 1, 3))

    (apart,) = TASK.decode(found, whole(1))
    (all_three,) = PoseTask(PoseConfig(nms=1), PEOPLE).decode(found, whole(1))

    assert apart.scores.tolist() == pytest.approx(
        [(0.5 * torch.tensor(s).sigmoid().item()) ** 0.5 for s in (3.0, 2.0)]
    )
    assert len(all_three) == 3


def test_results_do_not_depend_on_the_rest_of_the_batch():
    model = make_model(queries=5).eval()
    pixels = images(3)
    task = task_of(model)

    with torch.inference_mode():
        together = task.decode(model(pixels)["pose"], whole(3))
        alone = [task.decode(model(pixels[i : i + 1])["pose"], whole(1))[0] for i in range(3)]

    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.keypoints, b.keypoints, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(a.scores, b.scores)


def test_a_few_steps_fit_a_batch():
    model = make_model(queries=8)
    fixed = batch(people(1), people(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    totals = []
    for _ in range(40):
        total = torch.stack(list(model.losses(fixed).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())

    assert totals[-1] < 0.8 * totals[0]


def test_categories_without_keypoints_are_refused():
    with pytest.raises(ConfigError, match=r"task 'pose': none of the categories \(dog, cup\) has keypoints"):
        PoseTask(PoseConfig(), Categories((Category(1, "dog"), Category(2, "cup"))))


def test_it_needs_keypoints():
    assert TASK.needs == {"keypoints"}
    assert TASK.view == "image"


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


def test_what_a_box_says_is_added_to_what_its_query_says() -> None:
    model, pixels = make_model(TWO_SCHEMAS).eval(), images(1)
    classes, keypoints = len(TWO_SCHEMAS.keypoint_labels), TWO_SCHEMAS.max_keypoints
    with torch.no_grad():
        before = model(pixels)["pose"]
        said = model.modules_of("pose").head.reader.say.say.bias
        said.copy_(torch.linspace(-1, 1, len(said)))
        after = model(pixels)["pose"]
    offsets, rest = said[: 2 * keypoints].view(keypoints, 2), said[2 * keypoints :]
    sides = before.boxes[..., None, 2:]
    torch.testing.assert_close(after.boxes, before.boxes)
    torch.testing.assert_close(after.points - before.points, (offsets * sides), atol=1e-5, rtol=1e-5)
    for name, values in {
        "logits": rest[:classes],
        "visibility": rest[classes:-1],
        "quality": rest[-1],
    }.items():
        moved = getattr(after, name) - getattr(before, name)
        torch.testing.assert_close(moved, values.expand_as(moved), atol=1e-5, rtol=1e-5)


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
