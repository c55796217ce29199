"""The model as a whole: views, losses, whose weights are whose, and groups that do not fit."""

import contextlib

import pytest
import torch
from torch import Tensor, nn

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import ImageMeta
from support.models.spot_task import Spot, SpotConfig, SpotHead, spot_class


def backbone(name: str = "vit_tiny_patch16_224") -> PlainBackbone:
    """Return a small backbone."""
    side = 56 if "patch14" in name else 64
    return create_backbone(name, (side, side), options={"depth": 3})


def make(person_canvas: tuple[int, int] = (32, 64), /, **settings: SpotConfig) -> MultiTaskViT:
    """Return a small model with a task for each keyword."""
    tasks = [spot_class(name)(config, COCO_CATEGORIES) for name, config in settings.items()]
    return MultiTaskViT(backbone(), tasks, COCO_CATEGORIES, person_canvas)


def annotations(*boxes: tuple[float, float, float, float]) -> Annotations:
    """Return an image's labelled boxes."""
    count = len(boxes)
    return Annotations(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(count, dtype=torch.int64),
        masks=None,
        keypoints=None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=torch.ones(count),
        ids=torch.arange(count),
        has=frozenset({"boxes"}),
    )


def random_images(count: int = 2, side: int = 64) -> Tensor:
    """Return random pixels."""
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def batch(images: Tensor, *boxes: tuple[tuple[float, float, float, float], ...]) -> Batch:
    """Return images with their boxes."""
    meta = tuple(ImageMeta.whole(*image.shape[-2:]) for image in images)
    return Batch(images, tuple(annotations(*of_one) for of_one in boxes), meta)


def test_predictions_by_task() -> None:
    model = make(det=SpotConfig(queries=5), seg=SpotConfig(enter=2))
    found = model(random_images())
    assert set(found) == {"det", "seg"}
    assert found["det"].boxes.shape == (1, 2, 5, 4)
    assert model(random_images(1, 96))["det"].canvas == (96, 96)


def test_without_tasks() -> None:
    model = make()
    assert model(random_images()) == {}
    assert model.features(random_images()).last.patches.shape == (2, 192, 4, 4)
    assert model.losses(batch(random_images(), (), ())) == {}
    assert model.views == ()


def test_views_are_answered_apart() -> None:
    model = make(det=SpotConfig(), pose=SpotConfig(view="person"))
    assert model.views == ("image", "person")
    assert set(model(random_images())) == {"det"}
    assert set(model(random_images(), "person")) == {"pose"}
    assert set(make(pose=SpotConfig(view="person"))(random_images())) == {"pose"}
    assert model.canvases == {"image": (64, 64), "person": (32, 64)}
    assert (model.letterbox.height, model.letterbox.width) == (64, 64)


def test_losses_are_named_after_their_tasks() -> None:
    model = make(det=SpotConfig(queries=2), seg=SpotConfig())
    losses = model.losses(batch(random_images(), ((0, 0, 32, 32), (8, 8, 64, 64), (1, 1, 9, 9)), ()))
    assert set(losses) == {"det/l1", "det/entropy", "seg/l1", "seg/entropy"}
    torch.stack(list(losses.values())).sum().backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_matching_takes_no_part_in_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    cost = Spot.cost
    monkeypatch.setattr(
        Spot,
        "cost",
        lambda *args: asked.append(torch.is_grad_enabled()) or cost(*args),  # type: ignore[func-returns-value]
    )
    make(det=SpotConfig()).losses(batch(random_images(1), ((0, 0, 32, 32),)))
    assert asked == [False]


def test_every_parameter_has_an_owner() -> None:
    owners = make(det=SpotConfig(), seg=SpotConfig()).parameter_owner()
    assert set(owners.values()) == {"backbone", "det", "seg"}
    assert owners["tasks.det.tokens.det.weight"] == "det"
    assert owners["tasks.seg.head.linear.bias"] == "seg"
    assert owners["backbone.vit.cls_token"] == "backbone"


def test_progress_reaches_every_head(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(
        Spot, "progress", lambda self, head, fraction: told.append((self.name, head, fraction))
    )
    model = make(det=SpotConfig(), seg=SpotConfig())
    model.progress(0.25)
    assert told == [(name, model.modules_of(name).head, 0.25) for name in ("det", "seg")]


def test_evaluating_restores_the_mode_of_every_module() -> None:
    model = make(det=SpotConfig())
    model.backbone.vit.norm.eval()
    with contextlib.suppress(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        assert torch.is_inference_mode_enabled()
        raise KeyError
    assert not torch.is_inference_mode_enabled()
    assert [m for m in model.modules() if not m.training] == [model.backbone.vit.norm]


class Configurable(Spot):
    """A task whose groups are set by the test."""

    groups: tuple[TokenGroup, ...] = ()

    def tokens(self, backbone: BackboneSpec) -> tuple[TokenGroup, ...]:
        """The groups that were set."""
        return self.groups

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """A head that reads none of them."""
        return nn.Identity()


def complaint(monkeypatch: pytest.MonkeyPatch, *groups: TokenGroup) -> str:
    """Return the message that a task's groups cause."""
    monkeypatch.setattr(Configurable, "groups", groups)
    with pytest.raises(PluginError) as error:
        MultiTaskViT(backbone(), [Configurable(SpotConfig(), COCO_CATEGORIES)], COCO_CATEGORIES)
    return str(error.value)


def group(
    name: str = "spot", enter: int = 0, layers: tuple[int, ...] = (), masked: bool = False
) -> TokenGroup:
    """Return a group of two queries."""
    return TokenGroup(name, 2, enter, LearnedQueries(2, 192), "isolated", layers, masked)


def test_groups_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(monkeypatch, group("det")) == (
        "task 'spot': token group 'det' strays from its task; name it 'spot' or 'spot-...'."
    )
    assert complaint(monkeypatch, group("spotless")).startswith("task 'spot': token group 'spotless' strays")
    for enter in (3, -1):
        assert complaint(monkeypatch, group(enter=enter)) == (
            f"task 'spot': token group 'spot' enters at block {enter}, but blocks run from 0 to 2."
        )
    for layer in (0, 4):
        assert complaint(monkeypatch, group("spot-a", enter=1, layers=(3, layer))) == (
            f"task 'spot': token group 'spot-a' is read at depth {layer}; it exists from 1 to 3 (the output)."
        )
    assert complaint(monkeypatch, group(masked=True)) == (
        "task 'spot': token group 'spot' is masked, but Identity has no method query_mask; add it, or leave "
        "masked out."
    )
    assert complaint(monkeypatch, group("spot-a"), group(), group("spot-a")) == (
        "model: token group 'spot-a' is in task 'spot' and again in task 'spot'; give each its own name."
    )


def test_tasks_and_groups_need_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Spot(SpotConfig(), COCO_CATEGORIES)
    with pytest.raises(PluginError) as error:
        MultiTaskViT(backbone(), [task, task], COCO_CATEGORIES)
    assert str(error.value) == "model: task 'spot' is listed twice; name each task once."
    monkeypatch.setattr(Configurable, "groups", (group("spot-b"),))
    tasks = [Configurable(SpotConfig(), COCO_CATEGORIES), spot_class("spot-b")(SpotConfig(), COCO_CATEGORIES)]
    with pytest.raises(PluginError) as error:
        MultiTaskViT(backbone(), tasks, COCO_CATEGORIES)
    assert str(error.value) == (
        "model: token group 'spot-b' is in task 'spot' and again in task 'spot-b'; give each its own name."
    )


def test_a_person_canvas_that_the_patch_does_not_divide() -> None:
    tasks = [Spot(SpotConfig(view="person"), COCO_CATEGORIES)]
    with pytest.raises(ConfigError) as error:
        MultiTaskViT(backbone("vit_small_patch14_dinov2"), tasks, COCO_CATEGORIES)
    assert str(error.value) == (
        "person canvas: 256 x 192 pixels is not a multiple of the patch, 14 x 14; "
        "the nearest that fits is 252 x 196."
    )
    MultiTaskViT(backbone("vit_small_patch14_dinov2"), [Spot(SpotConfig(), COCO_CATEGORIES)], COCO_CATEGORIES)


class MaskingHead(SpotHead):
    """A head that hides every patch from its queries."""

    def query_mask(self, layer: int, queries: Tensor, patches: Tensor) -> Tensor:
        """Hide all."""
        return torch.zeros(*queries.shape[:2], patches[0, 0].numel(), dtype=torch.bool)


def test_a_head_that_masks_is_asked_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spot, "head", lambda self, spec: MaskingHead(self.name, spec.width))
    model, images = make(det=SpotConfig(masked=True), seg=SpotConfig()), random_images()
    trained, evaluated = model(images), model.eval()(images)
    torch.testing.assert_close(trained["seg"].boxes, evaluated["seg"].boxes)
    assert not torch.allclose(trained["det"].boxes, evaluated["det"].boxes, atol=1e-4)


def test_isolation_across_tasks() -> None:
    full = make(det=SpotConfig(enter=1), seg=SpotConfig(), pose=SpotConfig(enter=2)).eval()
    images, weights = random_images(), full.state_dict()
    expected = full(images)
    for kept in (("det",), ("seg", "det"), ("pose", "det", "seg"), ("pose",)):
        settings = {"det": SpotConfig(enter=1), "seg": SpotConfig(), "pose": SpotConfig(enter=2)}
        model = make(**{name: settings[name] for name in kept}).eval()
        model.load_state_dict({key: weights[key] for key in model.state_dict()})
        found = model(images)
        for name in kept:
            torch.testing.assert_close(found[name].boxes, expected[name].boxes, atol=1e-6, rtol=0)
            torch.testing.assert_close(found[name].logits, expected[name].logits, atol=1e-6, rtol=0)
