"""From tensors, lists and paths to results, in original pixels and whatever the batch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from mtvit_core.errors import DataError, ShapeError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.canvases.crops import crop_person, person_meta
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from support.spot_task import SpotConfig, SpotPredictions, spot_class


def make(categories: Categories = COCO_CATEGORIES, **settings: SpotConfig) -> MultiTaskViT:
    """Return a model of two blocks with a task for each keyword."""
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options={"depth": 2})
    tasks = [spot_class(name)(config, categories) for name, config in settings.items()]
    return MultiTaskViT(backbone, tasks, categories, person_canvas=(64, 48)).eval()


def picture(height: int = 50, width: int = 80) -> Tensor:
    """Return an image of random pixels, smooth enough to survive a resize."""
    coarse = torch.randint(0, 256, (1, 3, 5, 5)).float()
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return fine[0].to(torch.uint8)


def assert_same(a: Instances, b: Instances, atol: float) -> None:
    """Compare two results."""
    assert (a.height, a.width, a.tasks, a.file_name) == (b.height, b.width, b.tasks, b.file_name)
    assert torch.equal(a.instances.labels, b.instances.labels)
    torch.testing.assert_close(a.scores, b.scores, atol=atol, rtol=0)
    torch.testing.assert_close(
        a.boxes / max(a.height, a.width), b.boxes / max(b.height, b.width), atol=atol, rtol=0
    )


def test_a_batch_and_a_list_give_the_same() -> None:
    model = make(det=SpotConfig())
    images = torch.stack([picture(), picture(), picture()])
    from_batch, from_list = model.predict(images), model.predict(list(images))
    assert len(from_batch) == 3
    for a, b in zip(from_batch, from_list, strict=True):
        assert_same(a, b, atol=0)
    for a, b in zip(model.predict(images), from_batch, strict=True):
        assert_same(a, b, atol=0)


def test_images_of_any_size_come_back_in_their_own_pixels() -> None:
    model = make(det=SpotConfig())
    sizes = [(50, 80), (300, 40), (64, 96), (1, 7), (640, 960)]
    results = model.predict([picture(*size) for size in sizes])
    for (height, width), result in zip(sizes, results, strict=True):
        assert (result.height, result.width, len(result)) == (height, width, 4)
        limit = torch.tensor([width, height, width, height])
        assert bool(((result.boxes >= 0) & (result.boxes <= limit)).all())
    whole = model(torch.stack([model.letterbox.apply(picture(64, 96))]))["det"]
    assert whole.boxes.shape == (1, 1, 4, 4)


def test_a_box_is_where_the_model_saw_it() -> None:
    model, image = make(det=SpotConfig()), picture(32, 96)
    canvas = model.letterbox.apply(image)
    with torch.inference_mode():
        box = model(canvas[None])["det"].boxes[0, 0, 0]
    cx, cy, w, h = (box * torch.tensor([96.0, 64.0, 96.0, 64.0])).tolist()
    limit = torch.tensor([96, 32, 96, 32])
    expected = torch.tensor([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).clamp(min=0).minimum(limit)
    torch.testing.assert_close(model.predict([image])[0].boxes[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_results_do_not_depend_on_the_batch(batch_size: int) -> None:
    model = make(det=SpotConfig(), seg=SpotConfig(visibility="joint"))
    images = [picture(), picture(90, 30), picture(64, 96), picture(10, 10), picture(200, 300)]
    together = model.predict(images, batch_size=batch_size)
    for i, image in enumerate(images):
        assert_same(together[i], model.predict([image])[0], atol=1e-5)


def test_paths_give_what_their_pixels_give(tmp_path: Path) -> None:
    model, image = make(det=SpotConfig()), picture()
    file = tmp_path / "a.png"
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    by_path, by_text, by_pixels = model.predict([file, str(file), image])
    assert by_path.file_name == by_text.file_name == str(file)
    assert by_pixels.file_name == ""
    assert torch.equal(by_path.boxes, by_pixels.boxes)
    assert torch.equal(by_text.scores, by_pixels.scores)


def test_no_images_give_no_results() -> None:
    model = make(det=SpotConfig())
    assert model.predict([]) == []
    assert model.predict(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)) == []


def test_results_below_a_score_are_left_out() -> None:
    model, image = make(det=SpotConfig()), picture()
    scores = model.predict([image])[0].scores
    middle = float(scores.sort().values[1])
    assert model.predict([image], min_score=middle)[0].scores.tolist() == [
        s for s in scores.tolist() if s >= middle
    ]


def test_rows_are_those_of_each_task_in_turn() -> None:
    model = make(det=SpotConfig(queries=2), seg=SpotConfig(queries=3))
    assert model.predict([picture()], link=False)[0].tasks == ("det",) * 2 + ("seg",) * 3


def twins() -> MultiTaskViT:
    """Return a model of two tasks with the same weights, which find the same."""
    model = make(det=SpotConfig(), seg=SpotConfig())
    one, other = model.tasks["det"].state_dict(), model.tasks["seg"]
    other.load_state_dict({name.replace(".det.", ".seg."): value for name, value in one.items()})
    return model


def test_what_several_tasks_find_is_linked_unless_told_otherwise() -> None:
    model, image = twins(), picture()
    apart, linked = model.predict([image], link=False)[0], model.predict([image])[0]
    assert linked.tasks == ("det+seg",) * 4
    assert [one.score for one in linked.instances.links if one] == pytest.approx([1] * 4)
    for name in ("det", "seg"):
        found = apart.of(name).instances
        ranked = ImageResult(found[found.scores.argsort(descending=True)])
        assert_same(linked.of(name), ranked, atol=0)
    assert model.predict([image], min_link=1.0)[0].tasks == ("det+seg",) * 4
    least = float(apart.scores.max())
    assert model.predict([image], min_score=least)[0].tasks == ("det+seg",)


def test_tasks_that_speak_of_the_whole_image_are_not_linked() -> None:
    model = twins()
    type(model.task_list[1]).linkable = False
    assert model.predict([picture()])[0].tasks == ("det",) * 4 + ("seg",) * 4


def test_the_mode_of_the_model_is_restored() -> None:
    model = make(det=SpotConfig()).train()
    model.backbone.eval()
    trained = model.predict([picture()])
    assert model.training
    assert not model.backbone.training
    assert model.tasks.training
    assert not trained[0].boxes.is_inference()
    with pytest.raises(ShapeError):
        model.train().predict([torch.zeros(3, 8, 8)])
    assert model.backbone.training


def test_results_may_be_changed_in_place() -> None:
    result = make(det=SpotConfig()).predict([picture()])[0]
    result.boxes.mul_(2).requires_grad_()


def test_training_goes_on_after_a_prediction() -> None:
    model = make(det=SpotConfig()).train()
    model.predict([picture()])
    model(picture(64, 96)[None])["det"].boxes.sum().backward()


def test_without_tasks_nothing_is_found() -> None:
    result = make().predict([picture()])[0]
    assert (len(result), result.height, result.width) == (0, 50, 80)


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


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (torch.zeros(3, 8, 8), "torch.float32 of shape (3, 8, 8)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), "torch.uint8 of shape (1, 8, 8)"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), "torch.uint8 of shape (8, 8, 3)"),
        (torch.zeros(3, 0, 8, dtype=torch.uint8), "torch.uint8 of shape (3, 0, 8)"),
    ],
)
def test_other_tensors_are_refused(image: Tensor, found: str) -> None:
    with pytest.raises(ShapeError) as error:
        make(det=SpotConfig()).predict([picture(), image])
    assert str(error.value) == f"predict: an image is {found}; give uint8, 3 x H x W, RGB, 0 to 255."


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


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        make(det=SpotConfig()).predict([tmp_path / "no.jpg"])
    assert str(error.value) == f"{tmp_path / 'no.jpg'}: no such image file; check the path."


def test_an_unsure_part_stays_with_a_sure_object() -> None:
    model, image = twins(), picture()
    sure = model.predict([image])[0].scores
    least = float(sure.sort().values[1])
    options = PredictOptions(min_score=least, part_score=0.0)
    (found,) = model.predict_stream([image], options=options)
    assert found.tasks == ("det+seg",) * 3
    assert bool((found.scores >= least).all())
    (apart,) = model.predict_stream([image], options=replace(options, link=False))
    assert apart.tasks == ("det",) * 3 + ("seg",) * 3
