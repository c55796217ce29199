"""Mixup and CutMix: pixels and classes in the same shares, and no other label touched."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.data.samples.pairs.mixing import Mix, check_mixing, draw_mix, mix_images
from mtvit_train.scenes.writer import write_scenes

BLACK, WHITE = torch.zeros(3, 40, 60, dtype=torch.uint8), torch.full((3, 40, 60), 200, dtype=torch.uint8)
NEEDS = frozenset({"image_labels"})


@pytest.mark.parametrize("seed", range(20))
def test_the_share_of_a_cut_is_that_of_its_pixels(seed: int) -> None:
    mix = draw_mix(np.random.default_rng(seed), AugmentConfig(cutmix=1.0), (40, 60), 5)
    assert mix is not None
    assert mix.box is not None
    kept = (mix_images(BLACK, WHITE, mix)[0] == 0).float().mean().item()
    assert kept == pytest.approx(mix.share, abs=1e-6)


def test_mixup_is_the_mean_by_shares() -> None:
    assert mix_images(BLACK, WHITE, Mix(0, 0.3, None)).unique().tolist() == [140]


def test_both_kinds_are_drawn_and_some_images_stay() -> None:
    config = AugmentConfig(mixup=0.8, cutmix=1.0, mix_share=0.6)
    drawn = [draw_mix(np.random.default_rng(i), config, (40, 60), 5) for i in range(400)]
    alone = sum(mix is None for mix in drawn) / 400
    cut = sum(mix is not None and mix.box is not None for mix in drawn) / 400
    assert alone == pytest.approx(0.4, abs=0.08)
    assert cut == pytest.approx(0.3, abs=0.08)
    assert not any(draw_mix(np.random.default_rng(i), AugmentConfig(), (40, 60), 5) for i in range(9))


def test_samples_are_mixed_alike_each_time_and_their_shares_sum_to_one(tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", train=6, val=1, seed=0, size=64)
    packed = read_coco(tmp_path / "data", "train")
    config = AugmentConfig(mixup=0.8, cutmix=1.0)
    made = [ImageDataset(packed, Letterbox(32, 32), needs=NEEDS, augment=config) for _ in range(2)]
    plain = ImageDataset(packed, Letterbox(32, 32), needs=NEEDS)
    soft = 0
    for index in range(6):
        one, again = made[0][3, index], made[1][3, index]
        assert torch.equal(one.image, again.image)
        labels = one.annotations.image_labels
        assert labels is not None
        assert labels.present.sum().item() == pytest.approx(1)
        soft += int(labels.present.max() < 1)
        assert plain[3, index].annotations.image_labels.present.max() == 1
    assert soft


def test_with_a_task_that_learns_objects_it_is_refused() -> None:
    check_mixing(AugmentConfig(mixup=0.8), NEEDS)
    check_mixing(AugmentConfig(), NEEDS | {"boxes"})
    with pytest.raises(ConfigError, match="a task learns from boxes; set both to 0"):
        check_mixing(AugmentConfig(cutmix=1.0), NEEDS | {"boxes"})
