"""Reading COCO files: skeletons, sigmas and pairs of keypoints, and who has any."""

import pytest

from mtvit_core.sides import flip_pairs
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_train.data.formats.coco import read_coco
from support.training import tiny_coco


def test_bones_that_lead_nowhere_are_left_out_and_said(tmp_path, files):
    files["keypoints"]["categories"][0]["skeleton"] = [[1, 2], [3, 4], [0, 1]]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.categories[0].keypoints.skeleton == ((0, 1),)
    assert packed.notes == (
        f"{tiny_coco.keypoints_path(tmp_path)}: entry 0 of 'categories' (id 1): skeleton holds 2 "
        "bones between keypoints that are not there, as [3, 4] (they are numbered from 1 to 3); "
        "pictures leave them out.",
    )


def test_sigmas_are_those_of_coco_for_its_names_else_the_file_s(tmp_path, files):
    person = files["keypoints"]["categories"][0]
    person["sigmas"] = [0.1, 0.2, 0.3]
    schema = read_coco(tiny_coco.write(tmp_path / "a", files), "train").categories[0].keypoints
    assert schema.sigmas == (0.1, 0.2, 0.3)
    del person["sigmas"]
    person["keypoints"], person["skeleton"] = list(COCO_PERSON.names), []
    for annotation in files["keypoints"]["annotations"]:
        annotation["keypoints"] = [0] * 51
    schema = read_coco(tiny_coco.write(tmp_path / "b", files), "train").categories[0].keypoints
    assert schema.sigmas == COCO_PERSON.sigmas
    assert schema.flip_pairs == COCO_PERSON.flip_pairs


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], ((1, 2),)),
        (["Right Eye", "nose", "Left Eye"], ((0, 2),)),
        (["eye-left", "eye-right", "tail"], ((0, 1),)),
        (["L_Eye", "R_Eye", "L_F_Paw", "R_F_Paw"], ((0, 1), (2, 3))),
        (["lShoulder", "rShoulder", "neck"], ((0, 1),)),
        (["eyeL", "eyeR", "legL1", "legR1", "abdomen"], ((0, 1), (2, 3))),
        (["LEye", "REye", "Lknee", "Rknee", "Root"], ((0, 1), (2, 3))),
        (["left_eye", "right_eye", "L_toe"], ()),
        (["left_eye", "right_eye", "face-0", "face-1"], ()),
        (["nose", "tail"], ()),
        (["leftover", "rightover"], ()),
        (["left_eye", "right_eye", "left_ear"], ()),
    ],
)
def test_flip_pairs_come_from_names_and_only_where_every_side_has_its_partner(names, pairs):
    assert flip_pairs(names) == pairs


def test_keypoints_are_stored_only_for_those_who_have_them(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    assert packed.keypoints.shape == (1, 3, 3)
    assert packed.keypoint_rows.tolist() == [0, -1, -1]
