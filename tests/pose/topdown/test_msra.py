"""Crops and keypoints of ViTPose without UDP, against the rules of its authors' code written out anew.

crop     the centre of the box falls on (W / 2, H / 2), a pixel of the roi on W / roi_w of the crop
map      a quarter of the crop's size; both count from their first pixel
keypoint the peak, and a quarter of a pixel towards the larger neighbour
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.canvases.crops import crop_person, person_meta, points_to_crop
from mtvit_core.structures.categories import Categories
from mtvit_pose.config import PoseConfig
from mtvit_pose.published.datasets import DATASETS
from mtvit_pose.task import PoseTask
from mtvit_pose.topdown.decoder import Heatmaps

HEIGHT, WIDTH = 256, 192
ROWS, COLUMNS = 64, 48
OTHERS = [dataset for dataset in DATASETS if dataset.codec == "msra"]


def roi(box: tuple[float, float, float, float]) -> tuple[float, float, float]:
    """Centre, and the width that is shown."""
    x0, y0, x1, y1 = box
    width = max(x1 - x0, (y1 - y0) * WIDTH / HEIGHT)
    return (x0 + x1) / 2, (y0 + y1) / 2, width * 1.25


def to_crop(point: tuple[float, float], box: tuple[float, float, float, float]) -> tuple[float, float]:
    x, y, width = roi(box)
    return (point[0] - x) * WIDTH / width + WIDTH / 2, (point[1] - y) * WIDTH / width + HEIGHT / 2


def drawn(joints: list[tuple[float, float]]) -> np.ndarray:
    """A map for each joint of a crop, a patch of 13 pixels at a time."""
    maps = np.zeros((len(joints), ROWS, COLUMNS), np.float32)
    for plane, (u, v) in zip(maps, joints, strict=True):
        column, row = int(u / 4 + 0.5), int(v / 4 + 0.5)
        for j in range(max(0, row - 6), min(ROWS, row + 7)):
            for i in range(max(0, column - 6), min(COLUMNS, column + 7)):
                plane[j, i] = math.exp(-((i - column) ** 2 + (j - row) ** 2) / 8)
    return maps


def read(maps: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """x, y in the image and the height of each peak."""
    x, y, width = roi(box)
    found = []
    for plane in maps:
        row, column = np.unravel_index(plane.argmax(), plane.shape)
        i, j = float(column), float(row)
        if 1 < column < COLUMNS - 1 and 1 < row < ROWS - 1:
            i += 0.25 * np.sign(plane[row, column + 1] - plane[row, column - 1])
            j += 0.25 * np.sign(plane[row + 1, column] - plane[row - 1, column])
        height = width * HEIGHT / WIDTH
        found.append((i * width / COLUMNS + x - width / 2, j * height / ROWS + y - height / 2, plane.max()))
    return np.array(found)


def averaged(maps: np.ndarray, mirrored: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """The mean with maps of the mirrored crop: turned back, pairs swapped, columns but the first moved."""
    back = mirrored[:, :, ::-1].copy()
    for a, b in pairs:
        back[[a, b]] = back[[b, a]]
    moved = back.copy()
    for column in range(1, COLUMNS):
        moved[:, :, column] = back[:, :, column - 1]
    return (maps + moved) / 2


def task_of(categories: Categories, **settings: Any) -> PoseTask:
    return PoseTask(PoseConfig(variant="vitpose", codec="msra", flip_test=True, **settings), categories)


BOX = (31.0, 12.5, 118.0, 171.0)


def test_a_crop_shows_what_the_affine_map_of_three_points_shows() -> None:
    image = torch.randint(0, 256, (3, 190, 150), dtype=torch.uint8)
    meta = person_meta(BOX, 190, 150, (HEIGHT, WIDTH), rule="msra")
    x, y, width = roi(BOX)
    # Both corners of a direction, and the third point at a right angle, as the authors find the matrix.
    source = np.array([[x, y, 1], [x, y - width / 2, 1], [x - width / 2, y - width / 2, 1]])
    target = np.array(
        [[WIDTH / 2, HEIGHT / 2], [WIDTH / 2, HEIGHT / 2 - WIDTH / 2], [0, HEIGHT / 2 - WIDTH / 2]]
    )
    forward = np.linalg.solve(source, target).T
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    places = np.linalg.inv(forward[:, :2]) @ (np.stack([u.ravel(), v.ravel()]) - forward[:, 2:])
    places = places.reshape(2, HEIGHT, WIDTH)
    found = crop_person(image, meta, (HEIGHT, WIDTH))
    for plane, shown in zip(image, found, strict=True):
        expected = ndimage.map_coordinates(
            plane.double().numpy(), places[::-1], order=1, mode="grid-constant"
        )
        assert np.abs(shown.numpy() - expected).max() < 0.51


@pytest.mark.parametrize("dataset", OTHERS, ids=lambda dataset: dataset.name)
def test_targets_and_keypoints_are_those_of_the_authors(dataset: Any) -> None:
    task = task_of(dataset.categories)
    count = dataset.keypoints
    rng = np.random.default_rng(count)
    points = np.stack([rng.uniform(35, 110, count), rng.uniform(20, 165, count)], 1)
    meta = person_meta(BOX, 190, 150, (HEIGHT, WIDTH), rule=task.crop)
    on_crop = points_to_crop(torch.from_numpy(points), meta)
    joints = [to_crop((x, y), BOX) for x, y in points]
    np.testing.assert_allclose(on_crop.numpy(), joints, atol=1e-9)
    truth = drawn(joints)
    keypoints = torch.cat([on_crop.float(), torch.full((count, 1), 2.0)], 1)[None]
    person = Annotations(
        boxes=torch.tensor([[0.0, 0, WIDTH, HEIGHT]]),
        labels=torch.tensor([0]),
        masks=None,
        keypoints=keypoints,
        is_crowd=torch.zeros(1, dtype=torch.bool),
        areas=torch.ones(1),
        ids=torch.ones(1, dtype=torch.int64),
        has=frozenset({"boxes", "keypoints"}),
    )
    targets = task.targets([person], (HEIGHT, WIDTH), torch.device("cpu"))
    blank = Heatmaps(torch.zeros(1, count, ROWS, COLUMNS), (HEIGHT, WIDTH))
    perfect = task.perfect(blank, targets)
    assert perfect is not None
    np.testing.assert_allclose(perfect.maps[0].numpy(), truth, atol=1e-6)
    noise = rng.uniform(0, 0.1, (2, count, ROWS, COLUMNS)).astype(np.float32)
    maps, mirrored = truth + noise[0], np.ascontiguousarray(truth[:, :, ::-1]) + noise[1]
    pairs = dataset.categories[task.variant.label].keypoints.flip_pairs
    expected = read(averaged(maps, mirrored, pairs), BOX)

    def shown(planes: np.ndarray) -> Heatmaps:
        return Heatmaps(torch.from_numpy(planes)[None], (HEIGHT, WIDTH))

    (found,) = task.decode(task.average(shown(maps), shown(mirrored)), [meta])
    np.testing.assert_allclose(found.keypoints[0, :, :2].numpy(), expected[:, :2], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[0, :, 2].numpy(), expected[:, 2].clip(max=1), atol=1e-6)


def similarity(found: Tensor, points: np.ndarray, sigmas: tuple[float, ...], area: float) -> float:
    """OKS of one person, all of whose keypoints are labelled."""
    squares = ((found[:, :2].numpy() - points) ** 2).sum(1)
    return float(np.exp(-squares / (2 * area * (2 * np.array(sigmas)) ** 2)).mean())


def test_perfect_maps_of_whole_bodies_are_read_as_well_as_by_the_authors() -> None:
    """Their hands and faces have sigmas far below a pixel of the map, so the way back matters."""
    dataset = next(d for d in DATASETS if d.name == "wholebody")
    task, schema = task_of(dataset.categories), dataset.categories[0].keypoints
    assert schema is not None
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for _ in range(8):
        x, y, w = rng.uniform(0, 50), rng.uniform(0, 50), rng.uniform(60, 200)
        box = (x, y, x + w, y + w * rng.uniform(1.5, 3))
        points = np.stack([rng.uniform(box[0], box[2], 133), rng.uniform(box[1], box[3], 133)], 1)
        maps = drawn([to_crop((a, b), box) for a, b in points])
        meta = person_meta(box, 900, 900, (HEIGHT, WIDTH), rule="msra")
        (found,) = task.decode(Heatmaps(torch.from_numpy(maps)[None], (HEIGHT, WIDTH)), [meta])
        area = (box[2] - box[0]) * (box[3] - box[1]) * 0.53
        ours.append(similarity(found.keypoints[0], points, schema.sigmas, area))
        theirs.append(similarity(torch.from_numpy(read(maps, box)), points, schema.sigmas, area))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=1e-4)
    assert np.mean(ours) > 0.85


def test_empty_maps_have_no_keypoint() -> None:
    task = task_of(OTHERS[0].categories)
    meta = person_meta(BOX, 190, 150, (HEIGHT, WIDTH), rule="msra")
    (found,) = task.decode(Heatmaps(torch.zeros(1, 14, ROWS, COLUMNS), (HEIGHT, WIDTH)), [meta])
    x, y, width = roi(BOX)
    pixel = width / COLUMNS
    torch.testing.assert_close(
        found.keypoints[0, 0, :2], torch.tensor([x - width / 2 - pixel, y - width * 2 / 3 - pixel])
    )


@pytest.mark.parametrize("variant", ["onepass", "tokenpose"])
def test_variants_with_rules_of_their_own_take_none(variant: Any) -> None:
    with pytest.raises(ConfigError) as error:
        PoseTask(PoseConfig(variant=variant, codec="msra"), OTHERS[0].categories)
    assert str(error.value) == (
        f"tasks.pose.codec: variant {variant!r} has its own way from keypoints to maps and back, only "
        "vitpose and vitpose-simple have a choice; leave it out."
    )
