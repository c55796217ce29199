"""Weights from a file: all of the model's, resized to its canvas, or a message that says what is wrong."""

from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.backbone import create_backbone

NAME = "vit_tiny_patch16_224"
OPTIONS = {"depth": 2}


def weights(name: str = NAME, size: int = 64, **options: int) -> dict[str, Tensor]:
    """Return the weights of a timm model, classifier included."""
    model = timm.create_model(name, img_size=size, num_classes=10, **{**OPTIONS, **options})
    return {key: torch.randn_like(value) for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    "name", [NAME, "deit3_small_patch16_224", "vit_small_patch16_dinov3", "eva02_tiny_patch14_224"]
)
def test_local_file(name: str, tmp_path: Path) -> None:
    size = 56 if "patch14" in name else 64
    kept = weights(name, size)
    save_file(kept, tmp_path / "w.safetensors")
    backbone = create_backbone(name, (size, size), tmp_path / "w.safetensors", OPTIONS)
    own = backbone.vit.state_dict()
    assert set(own) == {key for key in kept if not key.startswith(("head", "fc_norm"))}
    for key, value in own.items():
        torch.testing.assert_close(value, kept[key], msg=key)


def test_weights_of_an_own_backbone_come_back(tmp_path: Path) -> None:
    backbone = create_backbone(NAME, (64, 96), options=OPTIONS)
    save_file(backbone.vit.state_dict(), tmp_path / "w.safetensors")
    again = create_backbone(NAME, (64, 96), str(tmp_path / "w.safetensors"), OPTIONS)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    assert torch.equal(backbone.eval()(images).last.patches, again.eval()(images).last.patches)


def test_half_precision_and_torch_files(tmp_path: Path) -> None:
    kept = weights()
    torch.save({"model": {key: value.half() for key, value in kept.items()}}, tmp_path / "w.pth")
    own = create_backbone(NAME, (64, 64), tmp_path / "w.pth", OPTIONS).vit.state_dict()
    assert own["norm.weight"].dtype == torch.float32
    torch.testing.assert_close(own["norm.weight"], kept["norm.weight"], atol=1e-2, rtol=1e-2)


def test_positions_are_resized_to_the_canvas(tmp_path: Path) -> None:
    kept = weights()
    kept["pos_embed"] = torch.ones_like(kept["pos_embed"])
    save_file(kept, tmp_path / "w.safetensors")
    backbone = create_backbone(NAME, (32, 160), tmp_path / "w.safetensors", OPTIONS)
    assert backbone.vit.pos_embed.shape == (1, 1 + 2 * 10, 192)
    torch.testing.assert_close(backbone.vit.pos_embed.data, torch.ones(1, 21, 192))


def complaint(kept: dict[str, Tensor], path: Path) -> str:
    """Return the message that a file with these weights causes, without where it is."""
    save_file(kept, path)
    with pytest.raises(CheckpointError) as error:
        create_backbone(NAME, (64, 64), path, OPTIONS)
    start = f"backbone {NAME!r}: the weights of {path} do not fit the model: "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


def test_weights_that_lack_some(tmp_path: Path) -> None:
    kept = weights()
    del kept["norm.weight"]
    assert complaint(kept, tmp_path / "w.safetensors") == "missing: norm.weight."


def test_weights_of_another_model(tmp_path: Path) -> None:
    strange = {"conv.weight": torch.zeros(2)}
    assert complaint(strange, tmp_path / "w.safetensors") == (
        "missing: blocks.0.attn.proj.bias, blocks.0.attn.proj.weight, blocks.0.attn.qkv.bias and 27 more."
    )


def test_weights_of_another_depth(tmp_path: Path) -> None:
    assert complaint(weights(depth=3), tmp_path / "w.safetensors") == (
        "unexpected: blocks.2.attn.proj.bias, blocks.2.attn.proj.weight, blocks.2.attn.qkv.bias and 9 more."
    )


def test_weights_of_another_width(tmp_path: Path) -> None:
    text = complaint(weights(embed_dim=96), tmp_path / "w.safetensors")
    assert text.startswith("of another shape: cls_token is (1, 1, 96) instead of (1, 1, 192), ")


def test_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "no.safetensors", tmp_path):
        with pytest.raises(ConfigError) as error:
            create_backbone(NAME, (64, 64), path, OPTIONS)
        assert str(error.value) == (
            f"backbone {NAME!r}: the weight file {str(path)!r} does not exist; check model.pretrained."
        )


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_torn_file(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        create_backbone(NAME, (64, 64), path, OPTIONS)
    assert str(error.value).startswith(f"backbone {NAME!r}: the weights of {path} cannot be read: ")
    assert "\n" not in str(error.value)


def test_published_weights_that_do_not_exist() -> None:
    name = "vit_small_patch16_36x1_224"
    with pytest.raises(ConfigError) as error:
        create_backbone(name, (64, 64), pretrained=True, options={"depth": 1})
    assert str(error.value) == (
        f"backbone {name!r}: its published weights cannot be had: No pretrained weights exist for {name}. "
        "Use `pretrained=False` for random init. Set model.pretrained to a local file, or to false."
    )


def test_published_weights_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise LocalEntryNotFoundError("Cannot reach the hub.\nCheck your connection.")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(ConfigError) as error:
        create_backbone(NAME, (64, 64), pretrained=True, options=OPTIONS)
    assert str(error.value) == (
        f"backbone {NAME!r}: its published weights cannot be had: Cannot reach the hub. "
        "Check your connection. Set model.pretrained to a local file, or to false."
    )
    monkeypatch.setattr("timm.models._factory.load_model_config_from_hf", offline)
    with pytest.raises(ConfigError) as error:
        create_backbone("hf-hub:someone/some_vit", (64, 64))
    assert str(error.value) == (
        "backbone 'hf-hub:someone/some_vit': cannot be had from the hub: Cannot reach the hub. "
        "Check your connection."
    )


def test_published_weights_are_checked_like_local_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = weights(size=224)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(kept))
    backbone = create_backbone(NAME, (224, 224), pretrained=True, options=OPTIONS)
    torch.testing.assert_close(backbone.vit.norm.weight.data, kept["norm.weight"])
    with pytest.raises(CheckpointError) as error:
        create_backbone(NAME, (224, 224), pretrained=True, options={"depth": 3})
    assert str(error.value) == (
        f"backbone {NAME!r}: its published weights do not fit the model: "
        "missing: blocks.2.attn.proj.bias, blocks.2.attn.proj.weight, blocks.2.attn.qkv.bias and 9 more."
    )


@pytest.mark.parametrize("canvas", [(32, 128), (64, 64), (128, 32)])
def test_positions_of_as_many_patches_in_another_grid(tmp_path: Path, canvas: tuple[int, int]) -> None:
    """What pre-training writes tells its grid, so 4 x 4 patches are not taken for 2 x 8."""
    backbone = create_backbone(NAME, (32, 128), options=OPTIONS)
    torch.nn.init.normal_(backbone.vit.pos_embed)
    kept = {key: value.detach().clone() for key, value in backbone.weights().items()}
    save_file(kept, tmp_path / "w.safetensors", metadata={"grid": "2 8"})
    own = create_backbone(NAME, canvas, tmp_path / "w.safetensors", OPTIONS).vit.pos_embed
    maps = kept["pos_embed"][:, 1:].transpose(1, 2).reshape(1, -1, 2, 8)
    grid = (canvas[0] // 16, canvas[1] // 16)
    if grid != (2, 8):
        maps = F.interpolate(maps, grid, mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(own[:, 1:], maps.flatten(2).mT)
    torch.testing.assert_close(own[:, :1], kept["pos_embed"][:, :1])


def test_published_grids_are_known_whatever_their_count(tmp_path: Path) -> None:
    """A file of 14 x 14 patches, as timm publishes it, on a canvas of 7 x 28."""
    kept = weights(size=224)
    save_file(kept, tmp_path / "w.safetensors")
    own = create_backbone(NAME, (112, 448), tmp_path / "w.safetensors", OPTIONS).vit.pos_embed
    assert own.shape == kept["pos_embed"].shape
    maps = kept["pos_embed"][:, 1:].transpose(1, 2).reshape(1, -1, 14, 14)
    resized = F.interpolate(maps, (7, 28), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(own[:, 1:], resized.flatten(2).mT)


@pytest.mark.parametrize("prefix", ["module.", "teacher.backbone.", "student."])
def test_what_wraps_all_keys_is_taken_off(tmp_path: Path, prefix: str) -> None:
    kept = weights()
    save_file({prefix + key: value for key, value in kept.items()}, tmp_path / "w.safetensors")
    own = create_backbone(NAME, (64, 64), tmp_path / "w.safetensors", OPTIONS).vit.state_dict()
    torch.testing.assert_close(own["blocks.1.mlp.fc1.weight"], kept["blocks.1.mlp.fc1.weight"])
