"""An update of a supernet: which networks it goes through, what they learn, and what stays as it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_det.task import Detection
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.engine.gradients import Gradients, Objective
from mtvit_train.engine.replay import replay
from mtvit_train.engine.sandwich import Sandwich, make_sandwich
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting
from support.commands.processes import forked
from support.training.distill_cases import fresh, settings, whole_batch
from support.training.resume_cases import arguments, differences, run
from workers import sandwich_worker

MODEL: dict[str, Any] = {
    "backbone": "elastic:vit_tiny_patch16_224",
    "options": {
        "patch_size": 16,
        "embed_dim": 24,
        "depth": 4,
        "num_heads": 3,
        "widths": [16, 24],
        "depths": [3, 4],
        "drop_path_rate": 0.2,
    },
    "image_size": (64, 64),
    "person_size": (64, 48),
}
TASKS: dict[str, dict[str, Any]] = {"det": {"queries": 5}}
OPTIONS = "{" + ", ".join(f"{key} = {value}" for key, value in MODEL["options"].items()) + "}"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    return folder


def made(scenes: Path, **more: Any) -> tuple[RunConfig, MultiTaskViT, Batch]:
    config = settings(scenes, TASKS, MODEL, **more)
    model = fresh(config)
    return config, model, whole_batch(config, model)


def gradients(config: RunConfig, model: MultiTaskViT, passes: int = 1) -> Gradients:
    weighting = make_weighting(config, list(config.tasks))
    objective = Objective(model, weighting, None, make_sandwich(config, model))
    return Gradients(objective, Ranks.current(), passes, config.train.seed)


def sandwich_of(found: Gradients) -> Sandwich:
    assert found.objective.sandwich is not None
    return found.objective.sandwich


def filled(found: Gradients, batch: Batch, step: int = 3) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    found.objective.zero_grad()
    terms = found.fill({"image": batch}, step)
    return terms, {name: p.grad for name, p in found.objective.model.named_parameters()}


def test_an_update_goes_through_both_ends_and_two_between(scenes: Path) -> None:
    config, model, _ = made(scenes)
    sandwich, space = sandwich_of(gradients(config, model)), elastic(model.backbone, "test").space
    genomes = [sandwich.genomes(step) for step in range(20)]
    assert all(one[2:] == (space.smallest, space.largest) and len(one) == 4 for one in genomes)
    assert all(space.holds(genome) for one in genomes for genome in one)
    assert len({genome for one in genomes for genome in one[:2]}) > 20
    again = sandwich_of(gradients(*made(scenes)[:2]))
    assert [again.genomes(step) for step in (7, 3)] == [genomes[7], genomes[3]]


def test_the_gradient_is_the_mean_over_the_networks(scenes: Path) -> None:
    config, model, batch = made(scenes, supernet={"distill": 0.0})
    found = gradients(config, model)
    terms, grads = filled(found, batch)
    backbone, genomes = elastic(model.backbone, "test"), sandwich_of(found).genomes(3)
    alone = Gradients(
        Objective(model, make_weighting(config, ["det"])), Ranks.current(), 1, config.train.seed
    )
    sums: dict[str, torch.Tensor] = {}
    for genome in genomes:
        backbone.genome = genome
        for name, grad in filled(alone, batch)[1].items():
            if grad is not None:
                sums[name] = sums.get(name, torch.zeros_like(grad)) + grad.clone()
    backbone.genome = backbone.space.largest
    for name, total in sums.items():
        assert torch.allclose(grads[name], total / len(genomes), atol=1e-5), name
    assert not any("distill" in name for name in terms)


def test_small_networks_learn_from_the_largest(scenes: Path) -> None:
    config, model, batch = made(scenes)
    terms, _ = filled(gradients(config, model), batch)
    assert {name for name in terms if "distill" in name} >= {"det/distill_class", "det/distill_l1"}
    halved, half, batch = made(scenes, supernet={"distill": 0.5})
    less, _ = filled(gradients(halved, half), batch)
    assert less["det/distill_class"] == pytest.approx(float(terms["det/distill_class"]) / 2, rel=1e-5)
    assert less["det/class"] == pytest.approx(float(terms["det/class"]), rel=1e-5)


def test_passes_of_a_batch_give_the_gradient_of_one(scenes: Path) -> None:
    config, model, batch = made(scenes)
    model.backbone.apply(lambda module: setattr(module, "drop_prob", 0.0))
    model.tasks.eval()
    whole = filled(gradients(config, model), batch)
    kept = {name: None if grad is None else grad.clone() for name, grad in whole[1].items()}
    parts = filled(gradients(config, model, passes=2), batch)
    for name, value in whole[0].items():
        if "denoising" not in name:
            assert parts[0][name] == pytest.approx(float(value), rel=1e-3, abs=1e-5), name
    assert kept.keys() == parts[1].keys()


def test_the_genome_and_the_statistics_are_those_of_the_largest_afterwards(scenes: Path) -> None:
    config = settings(scenes, TASKS, {**MODEL, "options": {**MODEL["options"], "stem": "bottleneck"}})
    model, plain = fresh(config), fresh(config)
    batch = whole_batch(config, model)
    filled(gradients(config, model), batch)
    alone = Gradients(
        Objective(plain, make_weighting(config, ["det"])), Ranks.current(), 1, config.train.seed
    )
    filled(alone, batch)
    backbone = elastic(model.backbone, "test")
    assert backbone.genome == backbone.space.largest
    tracked = {name: value for name, value in plain.state_dict().items() if "running" in name}
    assert tracked
    for name, value in tracked.items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("model", "more", "complaint"),
    [
        (
            {
                **MODEL,
                "backbone": "vit_tiny_patch16_224",
                "options": {"embed_dim": 24, "num_heads": 2, "depth": 2},
            },
            {"supernet": {"drawn": 1}},
            "config: supernet has settings, but the backbone 'vit_tiny_patch16_224' is not elastic; take "
            "model.backbone='elastic:vit_tiny_patch16_224', or leave them out.",
        ),
        (
            MODEL,
            {"train": {"parallel": "fsdp"}},
            "config: the backbone 'elastic:vit_tiny_patch16_224' is a supernet, whose networks need whole "
            "weights; set train.parallel='ddp'.",
        ),
        (
            MODEL,
            {"train": {"weighting": "gradnorm"}},
            "config: the backbone 'elastic:vit_tiny_patch16_224' is a supernet, whose updates weigh losses "
            "several times, but train.weighting is 'gradnorm'; take fixed or uncertainty.",
        ),
        (
            MODEL,
            {"cache": {"views": 1}},
            "config: the backbone 'elastic:vit_tiny_patch16_224' is a supernet, whose frozen blocks differ "
            "from network to network; set cache.views=0.",
        ),
    ],
)
def test_settings_that_do_not_go_with_a_supernet_are_refused(
    scenes: Path, model: dict[str, Any], more: dict[str, Any], complaint: str
) -> None:
    config = settings(scenes, TASKS, model, **more)
    with pytest.raises(ConfigError) as caught:
        make_sandwich(config, fresh(config))
    assert str(caught.value) == complaint


def asked(scenes: Path, out: Path, **more: str) -> list[str]:
    own = {"model__backbone": MODEL["backbone"], "model__options": OPTIONS, **more}
    return arguments(scenes, out, "det", **own)


def test_a_run_goes_on_from_a_checkpoint_to_the_bit(scenes: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = run(*asked(scenes, whole, train__steps="6"))
    assert done.exit_code == 0, done.output
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "checkpoints" / "step-00000006")
    (parts / "finished.json").unlink()
    (parts / "model.safetensors").unlink()
    again = run("--out", str(parts), "--resume")
    assert "going on from step 3 of 6" in again.output, again.output
    assert differences(whole, parts) == []


def test_two_processes_have_the_same_gradients(scenes: Path) -> None:
    done = forked(sandwich_worker.__file__, str(scenes))
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((scenes / f"sandwich-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    alone = json.loads(json.dumps(sandwich_worker.gradients(scenes)))
    assert alone["genomes"] == first["genomes"]
    for name, value in alone["norms"].items():
        assert first["norms"][name] == pytest.approx(value, rel=1e-3, abs=1e-6), name


def test_a_step_whose_lessons_diverge_is_named_and_seen_again(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, distill = tmp_path / "wild", Detection.distill

    def spoilt(self: Any, *given: Any) -> dict[str, torch.Tensor]:
        terms = distill(self, *given)
        return {**terms, "class": terms["class"] / 0}

    monkeypatch.setattr(Detection, "distill", spoilt)
    done = run(*asked(scenes, out, train__steps="2"))
    assert "step 0: det/distill_class is not finite" in done.output, done.output
    found = replay(out / "diverged")
    assert found["det/distill_class"].split(", ")[0].startswith("inf")
    assert len(found["det/class"].split(", ")) == 4
    assert len(found["det/distill_class"].split(", ")) == 3
