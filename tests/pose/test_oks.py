import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_pose.oks import oks
from mtvit_pose.oks_nms import oks_nms

SIGMAS = torch.tensor(COCO_PERSON.sigmas, dtype=torch.float64)


def coco_oks(truth: np.ndarray, areas: np.ndarray, found: np.ndarray) -> np.ndarray:
    """OKS of every result (row) and person (column), by pycocotools."""
    data = COCO()
    data.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": float(area),
                "bbox": [0, 0, 1, 1], "keypoints": points.flatten().tolist(),
                "num_keypoints": int((points[:, 2] > 0).sum()),
            }
            for i, (points, area) in enumerate(zip(truth, areas, strict=True))
        ],
    }  # fmt: skip
    data.createIndex()
    results = [
        {"image_id": 1, "category_id": 1, "score": 1 - i / 100, "keypoints": points.flatten().tolist()}
        for i, points in enumerate(found)
    ]
    evaluation = COCOeval(data, data.loadRes(results), "keypoints")
    evaluation._prepare()
    return np.asarray(evaluation.computeOks(1, 1))


def test_oks_equals_pycocotools():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 100, (6, 17, 3))
    truth[..., 2] = rng.integers(0, 3, (6, 17))
    areas = rng.uniform(200, 20000, 6)
    found = truth[rng.permutation(6)] + rng.normal(0, 4, (6, 17, 3))

    expected = coco_oks(truth, areas, found)

    shape = (6, 6, 17)
    ours = oks(
        torch.from_numpy(found[:, None, :, :2]).expand(*shape, 2),
        torch.from_numpy(truth[..., :2]).expand(*shape, 2),
        torch.from_numpy(truth[..., 2] > 0).expand(shape),
        torch.from_numpy(areas).expand(6, 6),
        SIGMAS.expand(shape),
    )
    assert expected.max() > 0.5
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)


def test_a_person_without_labelled_keypoints_has_oks_zero():
    points = torch.rand(3, 17, 2)

    value = oks(
        points, points, torch.zeros(3, 17, dtype=torch.bool), torch.ones(3), SIGMAS.float().expand(3, 17)
    )

    assert value.tolist() == [0, 0, 0]


def test_nms_keeps_the_best_of_alike_poses():
    base = torch.rand(17, 2) * 50
    poses = torch.stack([base, base + 0.3, base + 40, base + 40.2])
    areas = torch.full((4,), 2500.0)

    keep = oks_nms(poses, areas, torch.tensor([0.6, 0.9, 0.3, 0.8]), SIGMAS.float())

    assert keep.tolist() == [1, 3]


@pytest.mark.parametrize("count", [0, 1])
def test_nms_of_few(count: int):
    keep = oks_nms(torch.rand(count, 17, 2), torch.ones(count), torch.rand(count), SIGMAS.float())

    assert keep.tolist() == list(range(count))
