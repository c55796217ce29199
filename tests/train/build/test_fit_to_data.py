"""Canvas and length of a run that follow from its images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtvit_train.build.fit_to_data import FEWEST_STEPS, fitted, fitted_canvas, fitted_steps
from mtvit_train.config.run import ModelConfig, RunConfig, TrainConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.scenes.writer import write_scenes

EIGHT = {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedAnnotations:
    folder: Path = tmp_path_factory.mktemp("fit") / "scenes"
    write_scenes(folder, train=5, val=1, seed=3, size=64)
    return read_coco(folder, "train")


def of_size(packed: PackedAnnotations, *sizes: tuple[int, int]) -> PackedAnnotations:
    return replace(packed, sizes=np.array(sizes, np.int32))


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((480, 640), (144, 192)),
        ((640, 480), (192, 144)),
        ((500, 500), (168, 160)),  # 21 x 20 patches: 20.8 squared
        ((1080, 1920), (128, 216)),
        ((100, 3200), (32, 864)),
        ((48, 64), (48, 64)),  # no larger than the images
    ],
)
def test_a_canvas_takes_the_shape_of_the_images(
    packed: PackedAnnotations, size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    model = ModelConfig(backbone="vit_tiny_patch16_224", options=EIGHT, patches=432)
    found = fitted_canvas(model, of_size(packed, size, size, (10, 10), size, size))
    assert found == canvas
    assert found[0] // 8 * (found[1] // 8) <= 432


def test_patches_of_other_sizes_divide_the_canvas(packed: PackedAnnotations) -> None:
    model = ModelConfig(backbone="vit_small_patch14_dinov2", options={"depth": 1}, patches=400)
    assert fitted_canvas(model, of_size(packed, *[(480, 640)] * 5)) == (238, 322)


def test_few_images_are_seen_more_often() -> None:
    assert fitted_steps(93, 14, 8) == FEWEST_STEPS
    assert fitted_steps(292, 14, 8) == 511
    assert fitted_steps(5000, 14, 8) == 8750


def test_what_is_given_stays(packed: PackedAnnotations) -> None:
    config = RunConfig(train=TrainConfig(steps=7), model=ModelConfig(image_size=(64, 96)))
    assert fitted(config, packed) == config


def test_fitting_again_changes_nothing(packed: PackedAnnotations) -> None:
    open_ = RunConfig(
        train=TrainConfig(steps=0),
        model=ModelConfig(backbone="vit_tiny_patch16_224", options=EIGHT, patches=36),
    )
    once = fitted(open_, packed)
    assert (once.train.steps, once.model.image_size) == (FEWEST_STEPS, (48, 48))
    assert fitted(once, packed) == once
