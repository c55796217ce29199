"""A model whose tasks own layers: saved without unused copies, exported, and told to people."""

from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core.deploy.graph.capture import capture
from mtvit_core.deploy.program import tensors_of
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.sharing.shares import settled, shares_of, told_sharing

TASKS = ("det", "seg", "pose")
SIZES = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}


@pytest.fixture
def model() -> MultiTaskViT:
    """Gates are learned, and no copy is like another."""
    torch.manual_seed(0)
    options = {**SIZES, "tasks": "det,seg,pose"}
    backbone = create_backbone("branched:vit_tiny_patch16_224", (32, 32), options=options)
    made = mtvit_core.build(backbone, {"det": {"queries": 5}, "seg": {"queries": 5}, "pose": {"queries": 4}})
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if ".own." in name:
                weight += 0.1 * torch.randn_like(weight)
    return made.eval()


def said(model: MultiTaskViT) -> list[torch.Tensor]:
    images = torch.arange(3 * 32 * 32, dtype=torch.int64).remainder(251).to(torch.uint8).view(1, 3, 32, 32)
    with torch.no_grad():
        found = model(images)
    return [x for name in TASKS for _, x in tensors_of(found[name], "")]


def test_a_settled_model_is_saved_with_what_it_uses_and_read_as_any_other(
    model: MultiTaskViT, tmp_path: Path
) -> None:
    mtvit_core.save(model, tmp_path / "learned.safetensors")
    mtvit_core.save(settled(model), tmp_path / "settled.safetensors")
    learned, fixed = (mtvit_core.load(tmp_path / f"{name}.safetensors") for name in ("learned", "settled"))
    for wanted, one, other in zip(said(model), said(learned), said(fixed), strict=True):
        assert torch.equal(one, wanted)
        torch.testing.assert_close(other, wanted, atol=1e-6, rtol=1e-6)
    assert fixed.backbone.options["gates"] == str(model.backbone.gates)
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    unused = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in fixed.parameters())
    assert unused > 0
    assert sizes[0] - sizes[1] == pytest.approx(4 * unused, rel=0.2)


def test_a_task_can_be_loaded_alone(model: MultiTaskViT, tmp_path: Path) -> None:
    mtvit_core.save(settled(model), tmp_path / "model.safetensors")
    alone = mtvit_core.load(tmp_path / "model.safetensors", ["pose"])
    images = torch.arange(3 * 32 * 32, dtype=torch.int64).remainder(251).to(torch.uint8).view(1, 3, 32, 32)
    with torch.no_grad():
        found = [x for _, x in tensors_of(alone(images)["pose"], "")]
    for one, other in zip(reversed(found), reversed(said(model)), strict=False):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_others_stay_as_they_are() -> None:
    plain = mtvit_core.build(create_backbone("vit_tiny_patch16_224", (32, 32), options=SIZES), ["det"])
    assert settled(plain) is plain
    assert told_sharing(plain) == []
    assert shares_of(plain) == {}


def test_what_is_shared_is_told(model: MultiTaskViT) -> None:
    gates = "pose: 1.all 2.fc1"
    options = {**SIZES, "tasks": "det,pose", "gates": gates}
    backbone = create_backbone("branched:vit_tiny_patch16_224", (32, 32), options=options)
    lines = told_sharing(mtvit_core.build(backbone, ["det", "seg", "pose"]))
    assert "1.00 M" not in lines[0]
    assert lines[0].endswith(f"{backbone.stored / backbone.plain_size:.2f} times those of the plain one.")
    assert lines[1:3] == [
        "sharing: det shares all 3 blocks.",
        "sharing: pose shares the first 1 of 3 blocks, and owns 1.all 2.fc1.",
    ]
    assert "2 passes answer det + seg | pose, with 5 blocks on the image where one pass runs 3" in lines[3]
    told = shares_of(model)
    assert told["own_gates"] == len(model.backbone.gates.own) / 36


def test_it_is_exported(model: MultiTaskViT) -> None:
    for made in (model, settled(model)):
        captured = capture(made, "image", batch=1)
        images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        found = captured.program.module()(images)
        assert any(key.startswith("pose/") for key in found)
