"""Pixel decoders: one for all tasks that ask for the same, run once, kept with what reads it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import mtvit_core
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import PluginError
from mtvit_core.heads.pixel_decoder import DecoderRequest
from mtvit_core.model.add_tasks import with_tasks
from mtvit_core.model.multitask_vit import MultiTaskViT

IMAGES = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WIDE = {"channels": 16}


def model_of(**tasks: dict[str, object]) -> MultiTaskViT:
    """A small model of these tasks, in evaluation."""
    torch.manual_seed(0)
    options = {"embed_dim": 24, "depth": 4, "num_heads": 2}
    backbone = mtvit_core.create_backbone("vit_tiny_patch16_224", (32, 64), options=options)
    return mtvit_core.build(backbone, tasks).eval()


def test_tasks_that_ask_for_the_same_share_one() -> None:
    model = model_of(depth={}, normals={}, edges=WIDE)
    assert set(model.decoders) == {"fuse_64_4", "fuse_16_4"}
    assert model.decoders.readers == {"depth": "fuse_64_4", "normals": "fuse_64_4", "edges": "fuse_16_4"}
    assert model.decoders.depths([task.name for task in model.task_list]) == (1, 2, 3)


def test_a_shared_decoder_runs_once_in_a_pass() -> None:
    model, calls = model_of(depth={}, normals={}, semantic={}), []
    model.decoders["fuse_64_4"].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(IMAGES)
    assert len(calls) == 1


def test_other_tasks_neither_see_nor_feel_a_decoder() -> None:
    alone, both = model_of(det={"queries": 3}), model_of(det={"queries": 3}, depth={})
    both.load_state_dict(alone.state_dict(), strict=False)
    with torch.no_grad():
        one, other = alone(IMAGES)["det"], both(IMAGES)["det"]
    assert torch.equal(one.logits, other.logits)  # to the bit
    assert torch.equal(one.boxes, other.boxes)


def test_a_part_of_a_file_brings_the_decoders_that_it_reads(tmp_path: Path) -> None:
    model, path = model_of(depth={}, edges=WIDE), tmp_path / "model.safetensors"
    mtvit_core.save(model, path)
    part = mtvit_core.load(path, ["edges"])
    assert set(part.decoders) == {"fuse_16_4"}
    with torch.no_grad():
        assert torch.equal(part(IMAGES)["edges"].values, model(IMAGES)["edges"].values)


def test_further_tasks_read_the_decoder_that_is_there() -> None:
    model = model_of(depth={})
    more = mtvit_core.add_tasks(model, ["normals"])
    assert more.decoders["fuse_64_4"] is model.decoders["fuse_64_4"]
    assert with_tasks(model, {"depth": {}}).decoders["fuse_64_4"] is model.decoders["fuse_64_4"]


@dataclass(frozen=True)
class Odd(DecoderRequest):
    """A request that is none."""

    size: int

    @property
    def name(self) -> str:
        return "odd"

    def depths(self, backbone: BackboneSpec) -> list[int]:
        return [self.size]

    def build(self, backbone: BackboneSpec) -> nn.Module:
        return nn.Identity()


def test_requests_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    depth, normals = (mtvit_core.installed_tasks()[name].cls for name in ("depth", "normals"))
    monkeypatch.setattr(depth, "pixel_decoder", lambda self, backbone: Odd(1))
    monkeypatch.setattr(normals, "pixel_decoder", lambda self, backbone: Odd(2))
    with pytest.raises(PluginError) as caught:
        model_of(depth={}, normals={})
    assert str(caught.value) == (
        "task 'normals': its decoder 'odd' is another one than that of the same name in the model; let the "
        "name tell all settings apart."
    )
    monkeypatch.setattr(depth, "pixel_decoder", lambda self, backbone: Odd(4))
    with pytest.raises(PluginError) as caught:
        model_of(depth={})
    assert str(caught.value) == (
        "task 'depth': its decoder reads depth 4; depths below the output run from 0 to 3."
    )
    monkeypatch.setattr(depth, "pixel_decoder", lambda self, backbone: "fuse")
    with pytest.raises(PluginError, match="decoder raised TypeError: its result 'fuse' is no DecoderRequest"):
        model_of(depth={})
