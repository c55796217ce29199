"""Changes of colour: one affine map, neutral where it should be."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.samples.colour import change_colour, jitter_colour


@pytest.fixture
def image():
    # Away from 0 and 255, where torchvision clips after each step and we once at the end.
    return torch.randint(60, 180, (3, 20, 30), dtype=torch.uint8)


def difference(a, b):
    return int((a.int() - b.int()).abs().max())


def test_neutral_factors_change_nothing(image):
    assert torch.equal(change_colour(image, 1, 1, 1, 0), image)


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.3])
def test_brightness_contrast_and_saturation_are_those_of_torchvision(image, factor):
    assert difference(change_colour(image, factor, 1, 1, 0), F.adjust_brightness(image, factor)) <= 1
    assert difference(change_colour(image, 1, factor, 1, 0), F.adjust_contrast(image, factor)) <= 2
    assert difference(change_colour(image, 1, 1, factor, 0), F.adjust_saturation(image, factor)) <= 2


def test_changes_follow_each_other_as_in_torchvision(image):
    theirs = F.adjust_saturation(F.adjust_contrast(F.adjust_brightness(image, 0.7), 1.3), 1.2)
    assert difference(change_colour(image, 0.7, 1.3, 1.2, 0), theirs) <= 3


def test_no_saturation_is_grey(image):
    grey = change_colour(image, 1, 1, 0, 0)
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])


def test_a_turn_of_hue_keeps_grey_and_luma(image):
    grey = image[:1].expand(3, -1, -1)
    assert torch.equal(change_colour(grey, 1, 1, 1, 0.2), grey)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    turned = change_colour(image, 1, 1, 1, 0.05)
    assert difference(turned, image) > 5
    assert ((luma * turned).sum(0) - (luma * image).sum(0)).abs().max() <= 1


def test_a_full_turn_of_hue_changes_nothing(image):
    assert difference(change_colour(image, 1, 1, 1, 1.0), image) <= 1


def test_values_stay_within_a_byte(image):
    bright = change_colour(image, 3, 1, 1, 0)
    assert bright.dtype == torch.uint8
    assert bright.max() == 255


def test_hue_turns_red_towards_green_as_torchvision_does():
    red = torch.tensor([200, 60, 60], dtype=torch.uint8)[:, None, None]
    ours, theirs = change_colour(red, 1, 1, 1, 0.1).flatten(), F.adjust_hue(red, 0.1).flatten()
    assert ours[1] > ours[2]
    assert theirs[1] > theirs[2]


def test_without_augmentation_colours_stay(image):
    rng = np.random.default_rng(0)
    assert jitter_colour(rng, NO_AUGMENT, image) is image
    neutral = AugmentConfig(brightness=0, contrast=0, saturation=0, hue=0)
    assert jitter_colour(rng, neutral, image) is image


def test_one_setting_does_not_change_what_another_draws(image):
    plain = AugmentConfig(brightness=0.3, contrast=0, saturation=0, hue=0)
    mean = [
        float(jitter_colour(np.random.default_rng(5), config, image).float().mean())
        for config in (plain, plain.model_copy(update={"hue": 0.03, "saturation": 0.2}))
    ]
    assert mean[0] == pytest.approx(mean[1], abs=6)
    assert abs(mean[0] - float(image.float().mean())) > 10


def test_the_number_of_threads_changes_nothing():
    image = torch.randint(0, 256, (3, 300, 301), dtype=torch.uint8)
    one = change_colour(image, 1.1, 0.8, 1.2, 0.02)
    torch.set_num_threads(2)
    try:
        assert torch.equal(change_colour(image, 1.1, 0.8, 1.2, 0.02), one)
    finally:
        torch.set_num_threads(1)
