"""The task of poses in one pass: shapes, results of its predictions, and that it learns."""

from dataclasses import replace

import pytest
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import Categories, Category
from mtvit_pose.config import PoseConfig
from mtvit_pose.task import PoseTask
from support.tasks.pose_cases import (
    CANVAS,
    PEOPLE,
    TASK,
    TWO_SCHEMAS,
    batch,
    images,
    make_model,
    people,
    perfect,
    predictions,
    task_of,
    whole,
)


@pytest.mark.parametrize(("training", "layers"), [(True, 2), (False, 1)])
def test_shapes(training: bool, layers: int):
    model = make_model(queries=5).train(training)

    found = model(images(3))["pose"]

    assert found.logits.shape == (layers, 3, 5, 1)
    assert found.boxes.shape == (layers, 3, 5, 4)
    assert found.points.shape == (layers, 3, 5, 17, 2)
    assert found.maps.shape == (layers, 3, 32, 16, 24)
    assert found.canvas == CANVAS


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
