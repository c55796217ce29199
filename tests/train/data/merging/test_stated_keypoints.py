"""What settings state about keypoints, and what stands in for sigmas that nobody gives."""

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.merging.stated_keypoints import (
    KeypointsConfig,
    notes_of_mirrors,
    stated,
    with_every_sigma,
)
from support.training import tiny_coco


def test_settings_state_sigmas_and_pairs(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    setting = KeypointsConfig(sigmas=(0.1, 0.2, 0.3), flip_pairs=(("nose", "right_eye"),))
    schema = stated(packed, {"person": setting}).categories[0].keypoints
    assert (schema.sigmas, schema.flip_pairs) == ((0.1, 0.2, 0.3), ((0, 2),))


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        (
            "dog",
            {},
            "config: keypoints.dog: no category of this name has keypoints; those that have: person.",
        ),
        (
            "person",
            {"sigmas": (0.1,)},
            "config: keypoints.person.sigmas: 1 numbers, the least 0.1; give one above 0 for each of the 3 "
            "keypoints.",
        ),
        (
            "person",
            {"flip_pairs": (("nose", "nose"),)},
            "config: keypoints.person.flip_pairs: 'nose' is listed twice; name each keypoint that a mirror "
            "swaps once, of: nose, left_eye, right_eye.",
        ),
        (
            "person",
            {"flip_pairs": (("nose", "tail"),)},
            "config: keypoints.person.flip_pairs: 'tail' is no keypoint; name each keypoint that a mirror "
            "swaps once, of: nose, left_eye, right_eye.",
        ),
    ],
)
def test_settings_that_do_not_fit(tmp_path, name, setting, expected):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    with pytest.raises(ConfigError) as caught:
        stated(packed, {name: KeypointsConfig(**setting)})
    assert str(caught.value) == expected


def test_sigmas_stand_in_and_unknown_sides_are_said():
    fly = Category(1, "fly", KeypointSchema(("wing", "head")))
    known, notes = with_every_sigma(Categories((fly, Category(2, "leaf"))))
    assert known[0].keypoints.sigmas == (0.05, 0.05)
    assert known[1].keypoints is None
    (line,) = notes
    assert line.startswith("SIGMAS of category 'fly' are not given: its poses are scored with 0.05 for each")
    assert with_every_sigma(known) == (known, ())
    assert notes_of_mirrors(known) == (
        "category 'fly': left and right of its keypoints are not known, so its images are never mirrored; "
        "name the pairs by keypoints.fly.flip_pairs.",
    )
