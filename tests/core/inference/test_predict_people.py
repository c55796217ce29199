"""People by their boxes, given or found: looked at one by one, weighed by their scores, and joined."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from mtvit_core.errors import ShapeError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.canvases.crops import crop_person, person_meta
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from support.commands.predict_cases import assert_same, make, picture
from support.models.spot_task import SpotConfig, SpotPredictions, spot_class

PEOPLE = torch.tensor([[10.0, 5.0, 30.0, 45.0], [40.0, 10.0, 70.0, 50.0]])


def test_people_that_are_given_are_looked_at_one_by_one() -> None:
    model, image = make(pose=SpotConfig(queries=2, view="person")), picture()
    found = model.predict([image, image], boxes=[PEOPLE, PEOPLE[:1]])
    assert [len(result) for result in found] == [4, 2]
    for row in range(2):
        meta = person_meta(tuple(PEOPLE[row].tolist()), 50, 80, (64, 48))
        crop = crop_person(image, meta, (64, 48))
        with torch.inference_mode():
            scores = model(crop[None], "person")["pose"].logits.sigmoid()[0, 0]
        torch.testing.assert_close(found[0].scores[2 * row : 2 * row + 2], scores, atol=1e-5, rtol=0)
    alone = model.predict([image], boxes=[PEOPLE[1:]])[0]
    torch.testing.assert_close(found[0].boxes[2:], alone.boxes, atol=1e-3, rtol=0)


def test_crops_go_in_batches_that_change_nothing() -> None:
    model, images = make(pose=SpotConfig(view="person")), [picture(), picture()]
    boxes = [PEOPLE, PEOPLE.flip(0)]
    together, apart = model.predict(images, boxes), model.predict(images, boxes, batch_size=1)
    for a, b in zip(together, apart, strict=True):
        assert_same(a, b, atol=1e-5)


def test_an_image_without_people_has_no_poses() -> None:
    model = make(pose=SpotConfig(view="person"))
    result = model.predict([picture()], boxes=[torch.zeros(0, 4)])[0]
    assert (len(result), result.height, result.width) == (0, 50, 80)


def test_without_boxes_the_whole_image_is_one_person() -> None:
    model, image = make(pose=SpotConfig(view="person")), picture()
    whole = torch.tensor([[0.0, 0.0, 80.0, 50.0]])
    assert_same(model.predict([image])[0], model.predict([image], boxes=[whole])[0], atol=1e-6)


@pytest.mark.parametrize("before", [{}, {"seg": SpotConfig(boxes=False)}])
def test_people_come_from_the_task_that_finds_boxes(before: dict[str, SpotConfig]) -> None:
    model = make(**before, det=SpotConfig(queries=6), pose=SpotConfig(queries=1, view="person"))
    image = picture()
    det = make_alike(model, "det").predict([image])[0]
    people = det[det.scores >= 0.5]
    assert 0 < len(people) < 6
    result = model.predict([image], person_score=0.5, link=False)[0]
    assert result.tasks == ("seg",) * 4 * len(before) + ("det",) * 6 + ("pose",) * len(people)
    given = make_alike(model, "pose").predict([image], boxes=[people.boxes])[0]
    torch.testing.assert_close(result.of("pose").scores, given.scores * people.scores, atol=1e-5, rtol=0)


def test_a_task_without_boxes_finds_no_people() -> None:
    model = make(seg=SpotConfig(boxes=False), pose=SpotConfig(queries=1, view="person"))
    assert model.predict([picture()])[0].tasks.count("pose") == 1  # the whole image


def test_scores_of_given_boxes_weigh_the_results() -> None:
    model, image = make(pose=SpotConfig(queries=1, view="person")), picture()
    plain = model.predict([image], [PEOPLE])[0]
    weighed = model.predict([image], [torch.cat([PEOPLE, torch.tensor([[0.5], [0.25]])], 1)])[0]
    torch.testing.assert_close(weighed.scores, plain.scores * torch.tensor([0.5, 0.25]))


class Mirrored(spot_class("pose")):  # type: ignore[misc]
    """Averages its logits with those of the mirror image, and keeps the best crop of an image only."""

    mirrors = True

    def average(self, predictions: SpotPredictions, mirrored: SpotPredictions) -> SpotPredictions:
        return replace(predictions, logits=(predictions.logits + mirrored.logits) / 2)

    def join(self, parts: Sequence[Instances], meta: Sequence[ImageMeta]) -> Instances:
        assert [m.box for m in meta] == [tuple(box) for box in PEOPLE[: len(parts)].tolist()]
        return max(parts, key=lambda part: float(part.scores.max()))


def test_a_task_averages_with_the_mirror_image_and_joins_its_crops() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options={"depth": 2})
    task = Mirrored(SpotConfig(queries=1, view="person"), COCO_CATEGORIES)
    model = MultiTaskViT(backbone, [task], COCO_CATEGORIES, person_canvas=(64, 48)).eval()
    images = [picture(), picture()]
    found = model.predict(images, [PEOPLE, PEOPLE[:1]], batch_size=2)
    expected = []
    for image, boxes in zip(images, (PEOPLE, PEOPLE[:1]), strict=True):
        metas = [person_meta(tuple(box), 50, 80, (64, 48)) for box in boxes.tolist()]
        crops = torch.stack([crop_person(image, meta, (64, 48)) for meta in metas])
        with torch.inference_mode():
            logits = [model(pixels, "person")["pose"].logits[0, :, 0] for pixels in (crops, crops.flip(-1))]
        expected.append(((logits[0] + logits[1]) / 2).sigmoid().max())
    assert [len(result) for result in found] == [1, 1]
    torch.testing.assert_close(torch.cat([r.scores for r in found]), torch.stack(expected), atol=1e-5, rtol=0)


def make_alike(model: MultiTaskViT, name: str) -> MultiTaskViT:
    """Return a model with one of the tasks and the same weights."""
    task = next(task for task in model.task_list if task.name == name)
    alike = make(**{name: task.config})
    weights = model.state_dict()
    alike.load_state_dict({key: weights[key] for key in alike.state_dict()})
    return alike


def test_objects_of_other_classes_are_no_people() -> None:
    """The task finds class 0 only, which has no keypoints here."""
    categories = Categories((Category(5, "cup"), Category(1, "person", COCO_CATEGORIES[0].keypoints)))
    model = make(categories, det=SpotConfig(), pose=SpotConfig(view="person"))
    assert set(model.predict([picture()])[0].tasks) == {"det"}


def test_boxes_for_another_number_of_images_are_refused() -> None:
    with pytest.raises(ShapeError) as error:
        make(pose=SpotConfig(view="person")).predict([picture()], boxes=[PEOPLE, PEOPLE])
    assert str(error.value) == "predict: 2 lists of boxes for 1 images; give one per image."


def test_boxes_that_are_no_corners_are_refused() -> None:
    with pytest.raises(ShapeError) as error:
        make(pose=SpotConfig(view="person")).predict([picture()], boxes=[PEOPLE[0]])
    assert str(error.value) == (
        "predict: boxes of an image are of shape (4,); give M x 4, x0 y0 x1 y1, or M x 5, with a score."
    )
