"""ViTPose and ViTPose+ of transformers and of their authors give the same heatmaps here."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import mtvit_core
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_pose.published.datasets import EXPERTS
from support.tasks.published_pose_cases import SIZES, official_keys, relative, saved, vitpose

LIMIT = 1e-4
#: Small, but of a width whose attention heads official files are known to have.
KNOWN_WIDTH = (384, 2, 12)


def crops(count: int = 2, canvas: tuple[int, int] = (256, 192)) -> Tensor:
    return torch.randint(0, 256, (count, 3, *canvas), dtype=torch.uint8)


@torch.inference_mode()
def difference(ours: MultiTaskViT, theirs: torch.nn.Module, dataset: int = 0, count: int = 2) -> float:
    """Of the heatmaps of random crops, relative to their largest value."""
    images = crops(count, ours.canvases["person"])
    expert = torch.full((count,), dataset)
    expected = theirs(ours.backbone.normalise(images), dataset_index=expert).heatmaps
    maps = ours(images, "person")["pose"].maps
    assert maps.shape == expected.shape
    assert expected.std() > 0.1
    return relative(maps, expected)


@pytest.mark.parametrize("image_size", [(256, 192), (384, 288)])
@pytest.mark.parametrize("simple", [False, True])
def test_heatmaps_are_those_of_transformers(tmp_path: Path, simple: bool, image_size: tuple[int, int]):
    theirs = vitpose(simple=simple, image_size=image_size)

    ours = mtvit_core.load(saved(theirs, tmp_path))

    assert ours.canvases["person"] == image_size
    assert ours.task_list[0].config.variant == ("vitpose-simple" if simple else "vitpose")
    assert difference(ours, theirs) < LIMIT


@pytest.mark.parametrize("dataset", [None, "coco"])
def test_experts_are_merged_exactly(tmp_path: Path, dataset: str | None):
    theirs = vitpose(experts=6)

    ours = mtvit_core.convert(saved(theirs, tmp_path), dataset=dataset)

    assert sum(p.numel() for p in ours.parameters()) < sum(p.numel() for p in theirs.parameters())
    assert difference(ours, theirs) < LIMIT


def plus_file(path: Path) -> dict[int, torch.nn.Module]:
    """Write an official file with the experts and heads of six data sets; return the model of each."""
    models = {
        i: vitpose(KNOWN_WIDTH, experts=6, part=96, keypoints=d.keypoints) for i, d in enumerate(EXPERTS)
    }
    weights = official_keys(models[0].state_dict())
    for i, model in models.items():
        if i:
            model.backbone.load_state_dict(models[0].backbone.state_dict())
            head = official_keys({k: v for k, v in model.state_dict().items() if k.startswith("head.")})
            prefix = f"associate_keypoint_heads.{i - 1}."
            weights |= {key.replace("keypoint_head.", prefix): value for key, value in head.items()}
    torch.save({"meta": {"epoch": 210}, "state_dict": weights}, path)
    return models


def test_every_data_set_of_an_official_file_has_its_expert_and_head(tmp_path: Path):
    models = plus_file(tmp_path / "plus.pth")

    for i, dataset in enumerate(EXPERTS):
        ours = mtvit_core.convert(tmp_path / "plus.pth", dataset=dataset.name)
        assert ours.categories == dataset.categories
        assert ours.task_list[0].config.codec == ("udp" if dataset.name in ("coco", "mpii") else "msra")
        assert difference(ours, models[i], dataset=i, count=1) < LIMIT
    default = mtvit_core.load(tmp_path / "plus.pth")
    assert difference(default, models[0], count=1) < LIMIT


@pytest.mark.parametrize("simple", [False, True])
def test_official_files_give_the_same(tmp_path: Path, simple: bool):
    theirs = vitpose(KNOWN_WIDTH, simple=simple)
    torch.save({"state_dict": official_keys(theirs.state_dict())}, tmp_path / "vitpose.pth")

    assert difference(mtvit_core.convert(tmp_path / "vitpose.pth", dataset="coco"), theirs) < LIMIT


def test_experts_that_a_split_file_left_behind_are_not_used(tmp_path: Path):
    """The authors' script that splits ViTPose+ merges an expert, and leaves all of them in the file."""
    theirs = vitpose(KNOWN_WIDTH, experts=6, part=96)
    weights = official_keys(theirs.state_dict())
    for i in range(KNOWN_WIDTH[1]):
        for part in ("weight", "bias"):
            mlp = f"backbone.blocks.{i}.mlp."
            merged = torch.cat([weights[f"{mlp}fc2.{part}"], weights[f"{mlp}experts.3.{part}"]])
            weights[f"{mlp}fc2.{part}"] = merged
    torch.save({"state_dict": weights}, tmp_path / "ap10k.pth")

    ours = mtvit_core.convert(tmp_path / "ap10k.pth", dataset="ap10k")

    assert ours.categories.items[0].name == "animal"
    assert difference(ours, theirs, dataset=3) < LIMIT


def test_norms_have_the_epsilon_of_the_authors(tmp_path: Path):
    """1e-6; transformers has 1e-12, which shows where tokens are tiny."""
    theirs = vitpose(eps=1e-12)
    with torch.no_grad():
        for part in theirs.backbone.embeddings.parameters():
            part.mul_(1e-3)
        for layer in theirs.backbone.encoder.layer:
            for part in (*layer.attention.output.parameters(), *layer.mlp.fc2.parameters()):
                part.mul_(1e-3)
    ours = mtvit_core.load(saved(theirs, tmp_path))
    official = vitpose(eps=1e-6)
    official.load_state_dict(theirs.state_dict())

    assert difference(ours, official) < LIMIT
    assert difference(ours, theirs) > 0.01


def test_a_converted_model_comes_back_bit_by_bit(tmp_path: Path):
    ours = mtvit_core.load(saved(vitpose(), tmp_path / "source"))
    mtvit_core.save(ours, tmp_path / "model.safetensors")

    again = mtvit_core.load(tmp_path / "model.safetensors")

    images = crops()
    with torch.inference_mode():
        assert torch.equal(again(images)["pose"].maps, ours(images)["pose"].maps)
    (one,), (other,) = again.predict(images[:1]), ours.predict(images[:1])
    assert torch.equal(one.keypoints, other.keypoints)
    assert again.task_list[0].mirrors


def complaint(weights: dict[str, Tensor], folder: Path, **choices: str) -> str:
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "odd.safetensors")
    with pytest.raises((CheckpointError, ConfigError)) as error:
        mtvit_core.convert(folder / "odd.safetensors", **choices)
    assert str(error.value).startswith(f"source {folder / 'odd.safetensors'}: ")
    return str(error.value).removeprefix(f"source {folder / 'odd.safetensors'}: ")


@pytest.fixture(scope="module")
def official() -> dict[str, Tensor]:
    return official_keys(vitpose((384, 1, 12)).state_dict())


def test_keys_that_do_not_fit_are_listed(tmp_path: Path, official: dict[str, Tensor]):
    odd = dict(official)
    del odd["backbone.last_norm.bias"]
    odd["backbone.blocks.0.attn.rel_pos"] = torch.zeros(1)
    odd["keypoint_head.deconv_layers.1.running_var"] = torch.ones(255)
    assert complaint(odd, tmp_path, dataset="coco") == (
        "its weights are not those of vitpose (official): missing: backbone.last_norm.bias; unexpected: "
        "backbone.blocks.0.attn.rel_pos; of another shape: keypoint_head.deconv_layers.1.running_var is "
        "(255,) instead of (256,)."
    )


def test_files_that_tell_too_little_are_refused(tmp_path: Path, official: dict[str, Tensor]):
    narrow = official_keys(vitpose((48, 1, 4)).state_dict())
    assert complaint(narrow, tmp_path, dataset="coco") == (
        "no ViTPose of width 48 is known, so its attention heads cannot be told; known: 384, 768, 1024, 1280."
    )
    square = official | {"backbone.pos_embed": torch.zeros(1, 197, 384)}
    assert complaint(square, tmp_path, dataset="coco") == (
        "its 196 positions are no grid of aspect 4 to 3, as 16 x 12; crops of another shape cannot be told "
        "from a file without a config.json."
    )
    hands = official | {"keypoint_head.final_layer.weight": torch.zeros(21, 256, 1, 1)}
    assert complaint(hands, tmp_path) == (
        "its head draws 21 keypoints, and no known data set has as many (coco 17, aic 14, mpii 16, ap10k 17, "
        "apt36k 17, wholebody 133, crowdpose 14)."
    )


def test_data_sets_that_a_file_does_not_hold_are_refused(tmp_path: Path, official: dict[str, Tensor]):
    assert complaint(official, tmp_path, dataset="cocoa") == (
        "dataset 'cocoa' is not one of coco, aic, mpii, ap10k, apt36k, wholebody, crowdpose. Did you mean "
        "'coco'?"
    )
    assert complaint(official, tmp_path, dataset="mpii") == (
        "its head draws 17 keypoints, but mpii has 16; name the data set that it was trained on."
    )
    folder = saved(vitpose(experts=6), tmp_path / "plus")
    with pytest.raises(CheckpointError, match="it holds no head for aic; it holds those for coco"):
        mtvit_core.convert(folder, dataset="aic")


def test_settings_that_no_published_model_has_are_refused(tmp_path: Path):
    theirs = vitpose()
    theirs.config.backbone_config.hidden_act = "relu"
    with pytest.raises(CheckpointError, match=r"in its config\.json has hidden_act 'relu'; only 'gelu' is"):
        mtvit_core.load(saved(theirs, tmp_path / "relu"))
    theirs = vitpose()
    theirs.config.backbone_config.set_output_features_output_indices(out_features=None, out_indices=[1])
    with pytest.raises(CheckpointError, match=r"config\.json says out_features 'stage1', but only 'stage3'"):
        mtvit_core.load(saved(theirs, tmp_path / "early"))


def test_a_converted_model_trains_and_takes_further_tasks(tmp_path: Path):
    ours = mtvit_core.load(saved(vitpose(), tmp_path))
    backbone, head = ours.backbone, ours.modules_of("pose").head.state_dict()
    more = mtvit_core.build(
        backbone, {"pose": ours.task_list[0].config.model_dump(), "det": {"queries": 5}}, ours.categories
    ).eval()
    more.modules_of("pose").head.load_state_dict(head)
    images = crops()

    with torch.inference_mode():
        assert torch.equal(more(images, "person")["pose"].maps, ours(images, "person")["pose"].maps)
    found = more.predict([images[0]], person_score=0.0)[0]
    assert len(found.of("det"))
    assert len(found.of("pose"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classic", "simple", "plus"])
@pytest.mark.parametrize("size", SIZES)
def test_full_sizes_give_the_same(
    tmp_path: Path, size: str, kind: str, record_property: Callable[[str, float], None]
):
    width, depth, heads, part = SIZES[size]
    theirs = vitpose((width, depth, heads), kind == "simple", 6 if kind == "plus" else 1, part)

    ours = mtvit_core.load(saved(theirs, tmp_path))
    found = difference(ours, theirs, count=1)

    for file in tmp_path.iterdir():
        file.unlink()
    record_property("million parameters", sum(p.numel() for p in ours.parameters()) / 1e6)
    record_property("relative difference", found)
    assert found < LIMIT
