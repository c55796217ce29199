"""A candidate as an ordinary model: the same answers, fewer bytes, saved, loaded and exported as ever."""

from pathlib import Path

import numpy as np
import pytest
import torch

import mtvit_core
from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.deploy.program import TensorsOnly, export
from mtvit_core.errors import ConfigError
from mtvit_core.model.build import build
from mtvit_core.model.cut_out import calibrate, cut_out
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.case import stir
from support.models.elastic_cases import noise, supernet

TASKS = {"det": {"queries": 5}, "seg": {"queries": 4}, "pose": {"queries": 3, "blocks": 2}}
GENOME = Genome(40, (2, 0, 3, 1), (4.0, 0.0, 2.0, 3.0))


@pytest.fixture
def whole() -> MultiTaskViT:
    torch.manual_seed(0)
    return stir(build(supernet(), TASKS)).eval()


def answers(model: MultiTaskViT) -> dict[str, torch.Tensor]:
    return TensorsOnly(model, "image")(noise())


def check_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], limit: float = 1e-6) -> None:
    assert found.keys() == wanted.keys()
    assert len(found) > 3
    for name, other in wanted.items():
        most = limit * max(1.0, float(other.abs().max()))
        assert (found[name].double() - other.double()).abs().max() <= most, name


@torch.no_grad()
def test_a_candidate_answers_as_the_supernet_in_fewer_bytes(whole: MultiTaskViT, tmp_path: Path) -> None:
    backbone = elastic(whole.backbone, "test")
    mtvit_core.save(whole, tmp_path / "whole.safetensors")
    state = torch.get_rng_state()
    cut = cut_out(whole, GENOME)
    assert torch.equal(state, torch.get_rng_state())
    backbone.genome = GENOME
    expected = answers(whole)
    check_same(answers(cut), expected)
    mtvit_core.save(cut, tmp_path / "cut.safetensors")
    again = mtvit_core.load(tmp_path / "cut.safetensors")
    assert again.backbone.name == "vit_tiny_patch16_224"
    check_same(answers(again), expected, 0.0)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("cut", "whole")]
    assert sizes[0] < 0.95 * sizes[1]
    program = export(again, "image", 2).module()
    check_same(program(noise()), expected, 1e-5)


@torch.no_grad()
def test_a_supernet_is_saved_loaded_and_cut_as_before(whole: MultiTaskViT, tmp_path: Path) -> None:
    mtvit_core.save(whole, tmp_path / "whole.safetensors")
    again = mtvit_core.load(tmp_path / "whole.safetensors")
    check_same(answers(again), answers(whole), 0.0)
    rng = np.random.default_rng(0)
    genome = elastic(again.backbone, "test").space.draw(rng)
    check_same(answers(cut_out(again, genome)), answers(cut_out(whole, genome)), 0.0)


@torch.no_grad()
def test_weights_of_a_candidate_are_its_own(whole: MultiTaskViT) -> None:
    cut, before = cut_out(whole, GENOME), answers(whole)
    for weight in cut.parameters():
        weight.zero_()
    check_same(answers(whole), before, 0.0)


def test_statistics_of_a_candidate_are_calibrated() -> None:
    torch.manual_seed(0)
    model = stir(build(supernet(stem="bottleneck"), {"det": {"queries": 5}})).train()
    with torch.no_grad():
        for _ in range(3):
            model(noise(count=4))
    held = {name: value.clone() for name, value in model.state_dict().items()}
    cut = cut_out(model, GENOME)
    calibrate(cut, [("image", noise()), ("image", noise().flip(-1))])
    norm = next(module for module in cut.modules() if isinstance(module, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        for images in (noise(), noise().flip(-1)):
            cut(images)
    means = torch.stack([value.mean((0, 2, 3)) for value in seen])
    assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-5)
    assert norm.momentum == 0.1
    assert not norm.training
    assert all(torch.equal(held[name], value) for name, value in model.state_dict().items())


def test_a_model_without_batch_norms_takes_no_batch() -> None:
    model = build(supernet().cut_out(GENOME), {})
    calibrate(model, iter([("image", torch.zeros(0))]))


def test_an_ordinary_model_cannot_be_cut(whole: MultiTaskViT) -> None:
    with pytest.raises(ConfigError) as caught:
        cut_out(cut_out(whole, GENOME), GENOME)
    assert str(caught.value) == (
        "cut_out: the backbone 'vit_tiny_patch16_224' is no supernet; take one, as "
        "'elastic:vit_small_patch16_224'."
    )
