"""The trainer: what stops it, how losses are weighed, and what trains together."""

from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import RunConfig, TrainConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.meter import Report
from mtvit_train.engine.trainer import DivergedError, Trainer
from mtvit_train.weighting.fixed import make_weighting


def trainer(scenes: Path, config: TrainConfig, tasks: dict[str, dict[str, object]]) -> Trainer[MultiTaskViT]:
    """A fresh trainer of a small model."""
    torch.manual_seed(0)
    packed = read_coco(scenes, "train")
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, tasks, packed.categories, person_canvas=(64, 48))
    run = RunConfig(train=config)
    return Trainer(
        model, make_split(run, model, packed, training=True), config, make_weighting(run, tuple(tasks))
    )


def test_a_loss_that_is_not_finite_stops_before_the_update(scenes: Path) -> None:
    config = TrainConfig(steps=3, batch_size=2, precision="fp32", warmup=0)
    run = trainer(scenes, config, {"det": {"queries": 6}})
    run.model.modules_of("det").head.class_embed.bias.data[0] = torch.inf
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    with pytest.raises(
        DivergedError, match=r"step 0: .*det/.* is not finite, so the weights were not updated"
    ):
        run.run(Course())
    assert all(torch.equal(before[name], value) for name, value in run.model.state_dict().items())


def test_a_task_weight_of_zero_takes_a_task_out(scenes: Path) -> None:
    config = TrainConfig(steps=1, batch_size=2, precision="fp32", task_weights={"seg": 0.0})
    run = trainer(scenes, config, {"det": {"queries": 6}, "seg": {"queries": 6}})
    seen: dict[str, float] = {}
    run.run(Course(lambda report: seen.update(report.losses)))
    assert all(value == 0 for name, value in seen.items() if name.startswith("seg/"))
    assert any(value > 0 for name, value in seen.items() if name.startswith("det/"))


@pytest.mark.parametrize("name", ["uncertainty", "gradnorm"])
def test_learned_balance_trains(name: str, scenes: Path) -> None:
    # Five, because fresh heads give the backbone no gradient at all, and gradnorm looks again after four.
    config = TrainConfig(steps=5, batch_size=2, precision="fp32", warmup=0, weighting=name)
    run = trainer(scenes, config, {"det": {"queries": 6}, "seg": {"queries": 6}})
    before = [weight.clone() for weight in run.weighting.state_dict().values()]
    losses: dict[str, float] = {}
    values: dict[str, float] = {}

    def see(report: Report) -> None:
        losses.update(report.losses)
        values.update(report.values)

    run.run(Course(see))
    assert losses["loss"] == pytest.approx(sum(v for k, v in losses.items() if k != "loss"), rel=1e-5)
    assert (values["weight_det"], values["weight_seg"]) == tuple(run.weighting.factors().values()) != (1, 1)
    after = run.weighting.state_dict().values()
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_frozen_backbone_has_no_gradients_to_balance(scenes: Path) -> None:
    config = TrainConfig(steps=1, batch_size=2, backbone_lr=0, weighting="gradnorm")
    with pytest.raises(ConfigError, match="the backbone's last block is not trained"):
        trainer(scenes, config, {"det": {"queries": 6}})


def test_whole_images_and_person_crops_train_and_evaluate_together(scenes: Path) -> None:
    config = TrainConfig(steps=2, batch_size=2, precision="fp32")
    run = trainer(scenes, config, {"det": {"queries": 6}, "pose": {"variant": "vitpose-simple"}})
    assert run.model.views == ("image", "person")
    losses: dict[str, float] = {}
    run.run(Course(lambda report: losses.update(report.losses)))
    assert {name.split("/")[0] for name in losses} == {"det", "pose", "loss"}
    packed = read_coco(scenes, "val")
    metrics = evaluate(
        run.average.model, make_split(RunConfig(), run.model, packed, training=False), batch_size=2
    )
    assert {"det/AP50", "pose/AP50"} <= metrics.keys()


def test_checkpointing_changes_no_loss(scenes: Path) -> None:
    values = []
    for checkpointing in (False, True):
        run = trainer(scenes, TrainConfig(steps=2, batch_size=2, precision="fp32"), {"det": {"queries": 6}})
        run.model.backbone.checkpointing = checkpointing
        losses: list[float] = []
        run.run(Course(lambda report, into=losses: into.append(report.losses["loss"])))
        values.append(losses)
    assert values[0] == pytest.approx(values[1], rel=1e-5)
