"""Which data set a ViTPose was trained on: told by the file, else asked for; never another one's expert."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.errors import CheckpointError
from mtvit_core.sides import flip_pairs
from mtvit_pose.published.datasets import DATASETS, EXPERTS
from support.tasks.published_cases import complaint
from support.tasks.published_pose_cases import HUB_NAMES, official_keys, saved, vitpose

WIDTH = (384, 1, 12)
#: As ``tools/train.py`` of mmpose has mmcv keep the configuration, in the form of yapf.
CONFIG = """
test_cfg = dict(
    flip_test=True,
    post_process='default',
    {test})
data = dict(
    samples_per_gpu=64,
    train=dict(
        type='{kind}',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='TopDownAffine'{affine}),
        ]),
    val=dict(type='{kind}'))
"""


def single(path: Path, keypoints: int, **meta: Any) -> Path:
    """A file of one data set as mmcv writes the best one of a training, scores of numpy included."""
    weights = official_keys(vitpose(WIDTH, simple=True, keypoints=keypoints).state_dict())
    best = {"hook_msgs": {"best_score": np.float64(0.71), "best_ckpt": "best_AP_epoch_210.pth"}}
    given = {"epoch": 210, "iter": 61530, "mmpose_version": "0.24.0", **best, **meta}
    torch.save({"meta": given, "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "keypoints", "name", "codec"),
    [
        ("TopDownCocoDataset", 17, "coco", "udp"),
        ("TopDownAicDataset", 14, "aic", "msra"),
        ("TopDownCrowdPoseDataset", 14, "crowdpose", "msra"),
        ("AnimalAP10KDataset", 17, "ap10k", "msra"),
        ("TopDownMpiiDataset", 16, "mpii", "udp"),
        ("TopDownMpiiDataset", 16, "mpii", "msra"),
    ],
)
def test_the_configuration_in_the_file_tells(
    tmp_path: Path, kind: str, keypoints: int, name: str, codec: str
) -> None:
    test, affine = ("use_udp=True", ", use_udp=True") if codec == "udp" else ("shift_heatmap=True", "")
    text = CONFIG.format(kind=kind, test=test, affine=affine)
    path = single(tmp_path / "best_AP_epoch_210.pth", keypoints, config=text)
    ours = mtvit_core.load(path)
    dataset = next(d for d in DATASETS if d.name == name)
    assert ours.categories == dataset.categories
    assert ours.task_list[0].config.codec == codec
    assert ours.crop == codec
    wrong = "crowdpose" if name != "crowdpose" else "aic"
    assert complaint(lambda: mtvit_core.convert(path, dataset=wrong)) == (
        f"source {path}: the configuration in it trains on {name}, not on {wrong}; leave dataset out."
    )


@pytest.mark.parametrize(
    ("keypoints", "names", "last"),
    [(17, "coco, ap10k and apt36k", "apt36k"), (14, "aic and crowdpose", "crowdpose")],
)
def test_a_count_of_several_data_sets_is_asked_for(
    tmp_path: Path, keypoints: int, names: str, last: str
) -> None:
    path = single(tmp_path / "vitpose.pth", keypoints)
    assert complaint(lambda: mtvit_core.load(path)) == (
        f"source {path}: its head draws {keypoints} keypoints, as {names} have; say which, with mtvit "
        f"convert --dataset {last} or mtvit_core.convert(..., dataset={last!r})."
    )
    for dataset in DATASETS:
        if dataset.keypoints == keypoints:
            ours = mtvit_core.convert(path, dataset=dataset.name)
            assert ours.categories == dataset.categories
            assert ours.task_list[0].config.codec == dataset.codec


@pytest.mark.parametrize(("keypoints", "name"), [(16, "mpii"), (133, "wholebody")])
def test_a_count_of_one_data_set_tells(tmp_path: Path, keypoints: int, name: str) -> None:
    ours = mtvit_core.load(single(tmp_path / "vitpose.pth", keypoints))
    assert ours.categories == next(d for d in DATASETS if d.name == name).categories


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    """The weights of a ViTPose+ with the experts and heads of six data sets."""
    weights = official_keys(vitpose(WIDTH, experts=6, part=96).state_dict())
    for i, dataset in enumerate(EXPERTS[1:]):
        head = vitpose(WIDTH, keypoints=dataset.keypoints).state_dict()
        found = official_keys({key: value for key, value in head.items() if key.startswith("head.")})
        prefix = f"associate_keypoint_heads.{i}."
        weights |= {key.replace("keypoint_head.", prefix): value + 0.01 * i for key, value in found.items()}
    return weights


def split(whole: dict[str, Tensor], number: int, stripped: bool) -> dict[str, Tensor]:
    """What the authors' ``model_split.py`` keeps for one data set; older versions keep all experts."""
    weights = dict(whole)
    for part in ("weight", "bias"):
        shared = f"backbone.blocks.0.mlp.fc2.{part}"
        weights[shared] = torch.cat([whole[shared], whole[f"backbone.blocks.0.mlp.experts.{number}.{part}"]])
    if number == 0:
        return weights  # with every expert and head
    own = f"associate_keypoint_heads.{number - 1}."
    weights |= {f"keypoint_head.{k.removeprefix(own)}": v for k, v in whole.items() if k.startswith(own)}
    weights = {k: v for k, v in weights.items() if not k.startswith("associate_keypoint_heads.")}
    return {k: v for k, v in weights.items() if not (stripped and ".experts." in k)}


def test_a_split_file_holds_the_expert_of_one_data_set(tmp_path: Path, whole: dict[str, Tensor]) -> None:
    for number, dataset in enumerate(EXPERTS):
        path = tmp_path / f"{dataset.name}.pth"
        torch.save({"meta": {}, "state_dict": split(whole, number, stripped=False)}, path)
        ours = mtvit_core.convert(path, dataset=dataset.name if number % 2 else None)
        assert ours.categories == dataset.categories
        assert ours.task_list[0].config.codec == dataset.codec
        other = EXPERTS[(number + 1) % 6].name
        assert complaint(lambda path=path, other=other: mtvit_core.convert(path, dataset=other)) == (
            f"source {path}: it was split for {dataset.name}, whose expert its blocks hold; for {other} take "
            f"the file of all experts, or the one that was split for {other}."
        )


def test_a_split_file_without_experts_is_asked_for(tmp_path: Path, whole: dict[str, Tensor]) -> None:
    path = tmp_path / "ap10k.pth"
    torch.save({"state_dict": split(whole, 3, stripped=True)}, path)
    assert "as coco, ap10k and apt36k have" in complaint(lambda: mtvit_core.load(path))
    assert mtvit_core.convert(path, dataset="ap10k").categories == EXPERTS[3].categories
    weights = {k: v for k, v in split(whole, 0, stripped=False).items() if ".experts." not in k}
    torch.save({"state_dict": weights}, tmp_path / "coco.pth")
    assert mtvit_core.load(tmp_path / "coco.pth").categories == EXPERTS[0].categories
    assert "it was split for coco" in complaint(
        lambda: mtvit_core.convert(tmp_path / "coco.pth", dataset="aic")
    )


def test_crowdpose_has_no_expert(tmp_path: Path, whole: dict[str, Tensor]) -> None:
    path = tmp_path / "plus.pth"
    torch.save({"state_dict": whole}, path)
    assert complaint(lambda: mtvit_core.convert(path, dataset="crowdpose")) == (
        f"source {path}: it holds no head for crowdpose; it holds those for coco, aic, mpii, ap10k, apt36k, "
        "wholebody."
    )


def test_keypoints_of_transformers_are_called_as_it_calls_them(tmp_path: Path) -> None:
    for count in (5, 21):
        names = {i: f"point{'abcdefghijklmnopqrstu'[i]}" for i in range(count)}
        theirs = vitpose((48, 1, 4), simple=True, keypoints=count, names=names)
        theirs.config.edges = [[0, 1], [1, 4]]
        ours = mtvit_core.load(saved(theirs, tmp_path / str(count)))
        (category,) = ours.categories
        assert category.keypoints is not None
        assert category.keypoints.names == tuple(names.values())
        assert category.keypoints.skeleton == ((0, 1), (1, 4))
        assert not ours.task_list[0].config.flip_test
        image = torch.randint(0, 256, (3, 300, 200), dtype=torch.uint8)
        assert ours.predict([image])[0].keypoints.shape == (1, count, 3)


def test_sides_of_other_names_are_mirrored(tmp_path: Path) -> None:
    names = dict(enumerate(["snout", "left ear", "right ear", "LPaw", "RPaw"]))
    ours = mtvit_core.load(saved(vitpose((48, 1, 4), simple=True, keypoints=5, names=names), tmp_path))
    schema = ours.categories[0].keypoints
    assert schema is not None
    assert schema.flip_pairs == ((1, 2), (3, 4))
    assert ours.task_list[0].config.flip_test


def unnamed(folder: Path, keypoints: int) -> Path:
    """A folder whose keypoints nobody named, as ``num_labels`` alone leaves it."""
    saved(vitpose((48, 1, 4), simple=True, keypoints=keypoints), folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): f"LABEL_{i}" for i in range(keypoints)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_keypoints_of_transformers_without_names(tmp_path: Path) -> None:
    assert mtvit_core.load(unnamed(tmp_path / "17", 17)).categories == EXPERTS[0].categories
    assert mtvit_core.load(unnamed(tmp_path / "133", 133)).categories == EXPERTS[5].categories
    assert "as aic and crowdpose have" in complaint(lambda: mtvit_core.load(unnamed(tmp_path / "14", 14)))
    schema = mtvit_core.load(unnamed(tmp_path / "5", 5)).categories[0].keypoints
    assert schema is not None
    assert schema.names == tuple(f"keypoint {i}" for i in range(5))


def test_published_names_are_told_whatever_their_spelling(tmp_path: Path) -> None:
    saved(vitpose((48, 1, 4), simple=True), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"]["1"] == HUB_NAMES[1] == "L_Eye"
    assert mtvit_core.load(tmp_path).categories == EXPERTS[0].categories
    assert mtvit_core.convert(tmp_path, dataset="coco").task_list[0].config.codec == "udp"
    assert complaint(lambda: mtvit_core.convert(tmp_path, dataset="ap10k")) == (
        f"source {tmp_path}: id2label in its config.json names the keypoints of coco, not those of ap10k; "
        "leave dataset out."
    )
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": {"17": "tail"}}))
    assert "names 17, but the keypoints are 0 to 16" in complaint(lambda: mtvit_core.load(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": {"0": "a"}, "edges": [[0, 17]]}))
    assert "edges [0, 17]; pairs of keypoints from 0 to 16" in complaint(lambda: mtvit_core.load(tmp_path))


def test_a_pickle_that_names_more_than_numbers_is_refused(tmp_path: Path) -> None:
    path = single(tmp_path / "best.pth", 16, more=Path("/"))
    with pytest.raises(CheckpointError, match=r"its pickle needs pathlib\S*Path, and mtvit runs nothing"):
        mtvit_core.load(path)


def test_sigmas_of_animals_are_those_of_the_joints() -> None:
    """Mmpose gives each joint of AP-10K what COCO has for the joint alike; both sides are the same."""
    alike = {
        "Eye": 0.025,
        "Nose": 0.026,
        "Neck": 0.035,
        "tail": 0.035,
        "Shoulder": 0.079,
        "Elbow": 0.072,
        "F_Paw": 0.062,
        "Hip": 0.107,
        "Knee": 0.087,
        "B_Paw": 0.089,
    }
    for name in ("ap10k", "apt36k"):
        schema = next(d for d in DATASETS if d.name == name).categories[0].keypoints
        assert schema is not None
        for joint, sigma in zip(schema.names, schema.sigmas, strict=True):
            assert sigma == next(value for part, value in alike.items() if joint.endswith(part)), joint


def test_crowdpose_is_not_aic() -> None:
    crowd, aic = (
        next(d for d in DATASETS if d.name == name).categories[0].keypoints for name in ("crowdpose", "aic")
    )
    assert crowd is not None
    assert aic is not None
    assert crowd.names[:2] == ("left_shoulder", "right_shoulder")
    assert crowd.names[12:] == ("top_head", "neck")
    assert aic.names[:1] == ("right_shoulder",)
    assert crowd.flip_pairs == flip_pairs(crowd.names)
    for a, b in crowd.flip_pairs:
        assert crowd.sigmas[a] == crowd.sigmas[b]
