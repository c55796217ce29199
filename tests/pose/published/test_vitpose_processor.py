"""Crops and keypoints of ViTPose against the processor of transformers, on images of COCO."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from transformers.models.vitpose import image_processing_vitpose as reference

from mtvit_core.structures.canvases.crops import crop_person, person_meta
from mtvit_core.structures.image_files import read_image
from mtvit_pose.config import PoseConfig
from mtvit_pose.task import PoseTask
from mtvit_pose.topdown.decoder import Heatmaps
from mtvit_pose.topdown.heatmap import heatmap_targets
from support.tasks.pose_cases import PEOPLE

CANVAS, SHAPE = (256, 192), (64, 48)


@pytest.fixture(scope="module")
def people(coco_mini: Path) -> list[tuple[Tensor, list[float]]]:
    """Pixels and box, x y width height, of one person of each of a dozen images."""
    found = json.loads((coco_mini / "annotations" / "person_keypoints_val2017.json").read_text())
    names = {image["id"]: image["file_name"] for image in found["images"]}
    boxes = {a["image_id"]: a["bbox"] for a in found["annotations"] if a["num_keypoints"] > 4}
    return [(read_image(coco_mini / "val2017" / names[i]), box) for i, box in sorted(boxes.items())[:12]]


def corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, w, h = box
    return x, y, x + w, y + h


def test_crops_are_those_of_the_processor(people: list[tuple[Tensor, list[float]]]):
    processor = reference.VitPoseImageProcessor(do_rescale=False, do_normalize=False)
    for image, box in people:
        expected = processor([image], boxes=[[box]], return_tensors="pt")["pixel_values"][0]
        meta = person_meta(corners(box), *image.shape[-2:], CANVAS)

        found = crop_person(image, meta, CANVAS)

        # Within a pixel of the image's border the processor has zeros, where OpenCV and we go over to them.
        v, u = torch.meshgrid(torch.arange(256.0), torch.arange(192.0), indexing="ij")
        x, y = meta.points_to_original(torch.stack([u, v], -1)).unbind(-1)
        height, width = image.shape[-2:]
        inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        outside = (x <= -1) | (y <= -1) | (x >= width) | (y >= height)
        assert inside.float().mean() > 0.3
        assert (found.int() - expected.int())[:, inside | outside].abs().max() <= 1


def noisy_maps(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    mu = 3 + torch.rand(count, 17, 2, generator=generator) * torch.tensor([41.0, 57.0])
    return 0.9 * heatmap_targets(mu, SHAPE)[0] + 0.05 * torch.rand(count, 17, *SHAPE, generator=generator)


def of_processor(maps: Tensor, boxes: list[list[float]]) -> list[dict[str, Tensor]]:
    processor = reference.VitPoseImageProcessor()
    outputs: Any = SimpleNamespace(heatmaps=maps)
    found = processor.post_process_pose_estimation(outputs, boxes=[[box] for box in boxes])
    return [person for (person,) in found]


def ours(maps: Tensor, people: list[tuple[Tensor, list[float]]]) -> list[Tensor]:
    task = PoseTask(PoseConfig(variant="vitpose"), PEOPLE)
    metas = [person_meta(corners(box), *image.shape[-2:], CANVAS) for image, box in people]
    return [found.keypoints[0] for found in task.decode(Heatmaps(maps, CANVAS), metas)]


def official_blur(
    plane: np.ndarray, sigma: float, radius: tuple[int, int], axes: tuple[int, int]
) -> np.ndarray:
    """Deviation 2, and the border mirrored, as OpenCV's GaussianBlur does for a kernel of 11."""
    return ndimage.gaussian_filter(plane.astype(np.float64), 2.0, radius=radius, axes=axes, mode="mirror")


def test_keypoints_are_those_of_the_processor_with_the_official_blur(
    people: list[tuple[Tensor, list[float]]], monkeypatch: pytest.MonkeyPatch
):
    maps, boxes = noisy_maps(len(people)), [box for _, box in people]
    monkeypatch.setattr(reference, "gaussian_filter", official_blur)

    expected = of_processor(maps, boxes)

    for found, person in zip(ours(maps, people), expected, strict=True):
        torch.testing.assert_close(found[:, :2], person["keypoints"], atol=0.01, rtol=1e-4)
        torch.testing.assert_close(found[:, 2], person["scores"])


def test_the_blur_of_the_processor_alone_is_another(people: list[tuple[Tensor, list[float]]]):
    """Its deviation is 0.8; on noisy maps that moves keypoints by tenths of a heatmap pixel."""
    maps = noisy_maps(len(people))
    expected = of_processor(maps, [box for _, box in people])

    moved = [
        (found[:, :2] - person["keypoints"]).norm(dim=1).mean() / max(box[2] * 1.25 / 48, box[3] * 1.25 / 64)
        for found, person, (_, box) in zip(ours(maps, people), expected, people, strict=True)
    ]

    assert 0.01 < np.mean(moved) < 1
