"""Detection in a model: its groups and heads, training on scenes, and independence of other tasks."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries
from mtvit_core.inference.predict import predict
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.plugins.registry import tasks as installed
from mtvit_core.structures.boxes import apply_deltas
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_core.tasks.task import Task
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions
from support.tasks.det_cases import CANVAS, CATEGORIES, losses_of, model_of, scene_batch, task

SPEC = BackboneSpec(width=192, depth=5, patch=(16, 16), canvas=CANVAS, heads=3)


def random_images(count: int = 2) -> torch.Tensor:
    """Return random pixels."""
    return torch.randint(0, 256, (count, 3, *CANVAS), dtype=torch.uint8)


def test_the_plugin_is_installed() -> None:
    assert installed(["det"])["det"].__name__ == "Detection"


def test_groups_of_the_variants() -> None:
    (picked,) = task(queries=7).tokens(SPEC)
    assert (picked.name, picked.count, picked.enter, picked.visibility) == ("det", 7, 3, "isolated")
    assert picked.layers == (4, 5)
    assert DetConfig().blocks == 1
    (yolos,) = task(variant="yolos", queries=9).tokens(SPEC)
    assert (yolos.name, yolos.count, yolos.enter, yolos.visibility) == ("det", 9, 0, "joint")
    assert yolos.layers == (5,)
    assert isinstance(yolos.source, LearnedQueries)
    assert float(yolos.source.weight.detach().abs().max()) <= 0.04 + 1e-6
    assert task(deep_supervision=False).tokens(SPEC)[0].layers == (5,)
    (early,) = task(blocks=99).tokens(SPEC)
    assert (early.enter, early.layers) == (0, (1, 2, 3, 4, 5))


@pytest.mark.parametrize("settings", [{"querys": 3}, {"queries": 0}, {"variant": "detr"}, {"no_object": 0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DetConfig(**settings)


def test_an_untrained_picked_head_repeats_its_proposals() -> None:
    model = model_of(task(queries=6))
    for training in (True, False):
        model.train(training)
        found: DetPredictions = model(random_images())["det"]
        assert found.pick is not None
        assert found.logits.shape == (2 if training else 1, 2, 6, len(CATEGORIES))
        for layer in range(len(found.logits)):
            torch.testing.assert_close(found.logits[layer], found.pick.picked_logits)
            torch.testing.assert_close(found.boxes[layer], found.pick.picked_boxes)


def test_a_picked_head_refines_its_proposals() -> None:
    model = model_of(task(queries=6)).eval()
    head = model.modules_of("det").head
    for value in head.parameters():
        torch.nn.init.normal_(value, std=0.1)
    images = random_images()
    features: Features = model.features(images)
    found: DetPredictions = head(features)
    pick, tokens = features.picks["det"], features.last.queries["det"]
    assert found.pick is pick
    moved = apply_deltas(pick.picked_boxes, head.bbox_embed(tokens))
    boxes, read = head.reader(features.last.patches, moved)
    torch.testing.assert_close(found.boxes[0], boxes)
    torch.testing.assert_close(found.logits[0], pick.picked_logits + head.class_embed(tokens) + read)
    assert (boxes - moved).abs().max() > 1e-3


def test_the_head_teaches_no_proposal() -> None:
    model = model_of(task(queries=6))
    found = model(random_images())["det"]
    (found.logits.square().sum() + found.boxes.square().sum()).backward()
    reached = {
        name.split(".")[0]
        for name, p in model.modules_of("det").tokens["det"].named_parameters()
        if p.grad is not None and bool(p.grad.any())
    }
    assert not reached & {"score", "box"}


def test_every_parameter_learns() -> None:
    batch, categories = scene_batch(2, 64)
    for settings in ({"variant": "yolos"}, {}):
        model = model_of(task(categories, queries=8, **settings), canvas=(64, 64))
        torch.stack(list(model.losses(batch).values())).sum().backward()
        assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_boxes_near_the_truth_teach_in_training_alone_and_by_their_weight() -> None:
    batch, categories = scene_batch(2, 64)
    model = model_of(task(categories, queries=8), canvas=(64, 64)).train()
    found: DetPredictions = model(batch.images)["det"]
    one, half = task(categories, queries=8), task(categories, queries=8, loss_denoising=0.5)
    terms, halved = (
        losses_of(each, found, each.targets(batch.annotations, (64, 64), torch.device("cpu")))
        for each in (one, half)
    )
    for name in ("denoising_box", "denoising_class"):
        assert terms[name] > 0
        torch.testing.assert_close(halved[name], terms[name] / 2)
    assert model.eval()(batch.images)["det"].reading is None
    yolos = model_of(task(categories, variant="yolos", queries=8), canvas=(64, 64)).train()
    assert yolos(batch.images)["det"].reading is None


@pytest.mark.parametrize("variant", ["picked", "yolos"])
def test_some_steps_on_scenes_halve_the_loss(variant: str) -> None:
    batch, categories = scene_batch(4, 64)
    model = model_of(task(categories, variant=variant, queries=12), canvas=(64, 64), depth=2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4)
    totals = []
    for _ in range(30):
        losses = model.losses(batch)
        assert all(bool(torch.isfinite(value)) for value in losses.values())
        total = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        totals.append(total.item())
    assert sum(totals[-3:]) < 0.5 * sum(totals[:3])


@pytest.mark.parametrize("variant", ["picked", "yolos"])
def test_training_goes_on_after_a_prediction(variant: str) -> None:
    batch, categories = scene_batch(1, 64)
    model = model_of(task(categories, variant=variant, queries=4), canvas=(64, 64))
    predict(model, batch.images)
    torch.stack(list(model.losses(batch).values())).sum().backward()


PEOPLE = Categories((Category(4, "cup"), Category(1, "person", COCO_PERSON)))


def build(names: tuple[str, ...]) -> MultiTaskViT:
    """Return a model of these installed tasks with default settings, in evaluation mode."""
    classes = installed(list(names))
    tasks: list[Task[Any, Any, Any]] = [cls(cls.Config(), PEOPLE) for cls in classes.values()]
    return model_of(*tasks).eval()


def test_other_tasks_change_nothing() -> None:
    """With equal weights, boxes stay the same when tasks are added, removed and reordered."""
    full = build(("seg", "det", "pose"))
    for value in full.parameters():
        torch.nn.init.normal_(value, std=0.5 if value.ndim == 1 else value[0].numel() ** -0.5)
    weights, images = full.state_dict(), random_images()
    with torch.no_grad():
        expected = full(images)["det"]
    expected_results = predict(full, images)
    for names in (("det",), ("det", "seg"), ("pose", "det"), ("pose", "seg", "det")):
        model = build(names)
        model.load_state_dict({key: weights[key] for key in model.state_dict()})
        with torch.no_grad():
            found = model(images)["det"]
        assert torch.equal(found.pick.index, expected.pick.index)
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-6, rtol=0)
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-6, rtol=0)
        for result, whole in zip(predict(model, images), expected_results, strict=True):
            ours, theirs = result.of("det"), whole.of("det")
            assert len(ours) > 0
            torch.testing.assert_close(ours.scores, theirs.scores, atol=1e-6, rtol=0)
            torch.testing.assert_close(ours.boxes / 96, theirs.boxes / 96, atol=1e-6, rtol=0)


@pytest.mark.parametrize("variant", ["picked", "yolos"])
def test_predictions_do_not_depend_on_the_batch(variant: str) -> None:
    model = model_of(task(variant=variant, queries=8)).eval()
    images = random_images(3)
    together = predict(model, images)
    for i in range(3):
        alone = predict(model, images[i : i + 1])[0]
        torch.testing.assert_close(together[i].scores, alone.scores, atol=1e-5, rtol=0)
        torch.testing.assert_close(together[i].boxes / 96, alone.boxes / 96, atol=1e-5, rtol=0)
