from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtvit_core.errors import DataError
from mtvit_core.structures.canvases.crops import Roi, person_roi, points_to_crop
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.person_augment import draw_roi, mirrored
from mtvit_train.data.samples.persons import PersonDataset
from mtvit_train.scenes.writer import write_scenes
from support.training.tiny_coco import documents, write

CANVAS = Letterbox(64, 48)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> PackedAnnotations:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=12, val=1, seed=3, size=96)
    return read_coco(folder, "train")


def test_every_posed_person_is_one_crop_in_the_order_of_the_images(scenes: PackedAnnotations):
    people = PersonDataset(scenes, CANVAS)

    samples = [people[0, i] for i in range(len(people))]

    expected = [
        (scenes.image(i).image_id, int(scenes.ids[row]))
        for i in range(len(scenes))
        for row in range(*scenes.rows(i).indices(scenes.instances))
        if scenes.keypoint_rows[row] >= 0
    ]
    assert len(expected) > 5
    assert [(s.meta.image_id, int(s.annotations.ids[0])) for s in samples] == expected
    assert all(s.image.shape == (3, 64, 48) and len(s.annotations) == 1 for s in samples)


def test_without_augmentation_labels_lead_back_to_the_original(scenes: PackedAnnotations):
    people = PersonDataset(scenes, CANVAS)

    for index, row in enumerate(people.rows):
        sample = people[5, index]
        points, truth = (
            sample.annotations.keypoints[0],
            torch.from_numpy(scenes.points(slice(row, row + 1))[0]),
        )
        known = truth[:, 2] > 0
        torch.testing.assert_close(points[:, 2], truth[:, 2])
        torch.testing.assert_close(
            sample.meta.points_to_original(points[known, :2]), truth[known, :2], atol=1e-3, rtol=0
        )
        assert not points[~known].any()
        box = torch.tensor(sample.meta.box)
        # The crop shows the whole box.
        corners = sample.annotations.boxes[0]
        assert (corners >= 0).all()
        assert (corners <= torch.tensor([47, 63, 47, 63])).all()
        torch.testing.assert_close(sample.meta.points_to_original(corners.view(2, 2)).flatten(), box)


def test_samples_depend_on_seed_epoch_and_index_alone(scenes: PackedAnnotations):
    first, second, other = (
        PersonDataset(scenes, CANVAS, augment=AugmentConfig(), seed=seed) for seed in (1, 1, 2)
    )

    a, b = first[2, 3], (second[0, 0], second[2, 3])[1]

    assert torch.equal(a.image, b.image)
    assert torch.equal(a.annotations.keypoints, b.annotations.keypoints)
    assert a.meta == b.meta
    assert a.meta != first[3, 3].meta
    assert a.meta != other[2, 3].meta


def test_augmented_labels_lie_on_the_same_pixels_of_the_original(scenes: PackedAnnotations):
    people = PersonDataset(scenes, CANVAS, augment=AugmentConfig(hflip=1.0))
    order = list(COCO_PERSON.flip_order)

    for index, row in enumerate(people.rows):
        sample = people[0, index]
        points, truth = (
            sample.annotations.keypoints[0],
            torch.from_numpy(scenes.points(slice(row, row + 1))[0]),
        )
        mirrored_truth = truth[order]
        known = mirrored_truth[:, 2] > 0
        back = sample.meta.points_to_original(points[known, :2])
        torch.testing.assert_close(back, mirrored_truth[known, :2], atol=1e-3, rtol=0)


def test_mirrored_crop_runs_from_right_to_left():
    canvas = (64, 48)
    plain = Roi(20.0, 30.0, 30.0, 40.0, 0.3).to_original(canvas)
    meta = ImageMeta(80, 60, canvas, plain)
    flipped = ImageMeta(80, 60, canvas, mirrored(plain, canvas))

    left, right = torch.tensor([[3.0, 7.0]]), torch.tensor([[47 - 3.0, 7.0]])

    torch.testing.assert_close(meta.points_to_original(left), flipped.points_to_original(right))


def test_crowds_and_people_without_keypoints_are_left_out(tmp_path: Path):
    packed = read_coco(write(tmp_path), "train")

    people = PersonDataset(packed, CANVAS)

    assert [int(packed.ids[row]) for row in people.rows] == [101]
    # Image of 40 x 30, box 4 6 10 12: sizes less one, as ViTPose cleans boxes.
    assert people[0, 0].meta.box == (4, 6, 13, 17)


def test_a_teacher_is_shown_people_without_keypoints_too(scenes: PackedAnnotations):
    odd = np.arange(scenes.instances) % 2 == 1
    half = replace(scenes, keypoint_rows=np.where(odd, -1, scenes.keypoint_rows).astype(np.int32))

    every, plain, taught = (
        PersonDataset(packed, CANVAS, taught=teacher)
        for packed, teacher in ((scenes, False), (half, False), (half, True))
    )

    assert taught.rows.tolist() == every.rows.tolist()
    assert (taught.sizes, taught.labelled_sizes) == (every.sizes, plain.sizes)
    assert 0 < len(plain) < len(taught)
    for index, row in enumerate(taught.rows):
        sample, posed = taught[0, index], not odd[row]
        assert torch.equal(sample.image, every[0, index].image)
        assert sample.annotations.has == ({"boxes", "keypoints"} if posed else {"boxes"})
        assert (sample.annotations.keypoints is not None) == posed
        assert len(sample.annotations) == 1


def test_masks_are_never_given(scenes: PackedAnnotations):
    sample = PersonDataset(scenes, CANVAS, needs={"keypoints"})[0, 0]

    assert sample.annotations.masks is None
    assert sample.annotations.has == {"keypoints"}


def test_data_without_posed_people_are_refused(tmp_path: Path):
    files = documents()
    for person in files["keypoints"]["annotations"]:
        person["keypoints"], person["num_keypoints"] = [0] * 9, 0
    packed = read_coco(write(tmp_path, files), "train")

    with pytest.raises(DataError, match="no person with a labelled keypoint, so there is nothing to crop"):
        PersonDataset(packed, CANVAS)


def rois(keypoints: np.ndarray, schema: KeypointSchema = COCO_PERSON) -> list[Roi]:
    box, rng = (100.0, 100.0, 160.0, 180.0), np.random.default_rng(0)
    return [draw_roi(rng, box, keypoints, schema, (256, 192)) for _ in range(4000)]


def test_scale_turn_and_shift_are_those_of_vitpose():
    drawn = rois(np.zeros((17, 3), np.float32))

    sizes = np.array([roi.width for roi in drawn]) / 75
    angles = np.degrees([roi.angle for roi in drawn])
    assert (sizes.min(), sizes.max()) == pytest.approx((0.5, 1.5))
    assert np.mean(np.isclose(sizes, 0.5)) == pytest.approx(0.159, abs=0.03)  # N(1, .5) below .5
    assert np.mean(angles != 0) == pytest.approx(0.6, abs=0.03)
    assert np.abs(angles).max() == pytest.approx(80)
    moved = np.array([(roi.x - 130, roi.y - 140) for roi in drawn])
    assert np.mean((moved != 0).any(1)) == pytest.approx(0.3, abs=0.03)
    assert np.abs(moved).max(0) == pytest.approx([0.2 * 60, 0.2 * 80], rel=0.05)


def test_half_bodies_show_one_half():
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[:11] = [110, 110, 2]  # head and arms
    keypoints[11:] = [150, 170, 1]  # hips to ankles
    drawn = rois(keypoints)

    centres = [(roi.x, roi.y) for roi in drawn]
    upper, lower = centres.count((110, 110)) / 4000, centres.count((150, 170)) / 4000
    assert upper == pytest.approx(0.3 * 0.69, abs=0.03)
    assert lower == pytest.approx(0.3 * 0.31, abs=0.03)


def test_half_bodies_need_more_than_eight_joints():
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[:8] = [110, 110, 2]

    assert not any((roi.x, roi.y) == (110, 110) for roi in rois(keypoints))


def test_points_to_crop_inverts_the_map():
    meta = ImageMeta(80, 60, (64, 48), person_roi((5.0, 6.0, 30.0, 50.0), (64, 48)).to_original((64, 48)))
    points = torch.rand(5, 2) * 50

    torch.testing.assert_close(meta.points_to_original(points_to_crop(points, meta)), points)
