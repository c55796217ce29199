"""Results as the annotators, trackers and metrics of supervision take them."""

from importlib import import_module
from typing import Any

import numpy as np

from mtvit_core.errors import ConfigError
from mtvit_core.structures.instances import Instances


def detections(found: Instances) -> Any:
    """Return objects as ``supervision.Detections``.

    Args:
        found: Objects of one image.

    Returns:
        Boxes x0 y0 x1 y1; masks where any object has one; scores; category ids of the data set as
        ``class_id``; names and tasks as ``data["class_name"]`` and ``data["task"]``.

    Raises:
        ConfigError: supervision is not installed.
    """
    labels = found.labels.tolist()
    return _package().Detections(
        xyxy=found.boxes.numpy(force=True).astype(np.float32).reshape(-1, 4),
        mask=found.masks.numpy(force=True) if any(rle is not None for rle in found.rles) else None,
        confidence=found.scores.numpy(force=True).astype(np.float32),
        class_id=np.array([found.categories[label].id for label in labels], dtype=int),
        data={"class_name": np.array(found.names, dtype=str), "task": np.array(found.tasks, dtype=str)},
    )


def key_points(found: Instances) -> Any:
    """Return the objects that have keypoints as ``supervision.KeyPoints``.

    Args:
        found: Objects of one image.

    Returns:
        Places, K the most keypoints of any category; scores of each point; category ids and names as for
        ``detections``. Points that an object does not have are at (0, 0) with score 0, as supervision has it.

    Raises:
        ConfigError: supervision is not installed.
    """
    package = _package()
    there = ~found.keypoints.isnan().any(2)
    own = found[there.any(1)]
    points = own.keypoints.nan_to_num(0).numpy(force=True).astype(np.float32)
    if not len(own):
        return package.KeyPoints.empty()
    return package.KeyPoints(
        xy=points[..., :2],
        keypoint_confidence=points[..., 2],
        detection_confidence=own.scores.numpy(force=True).astype(np.float32),
        class_id=np.array([own.categories[label].id for label in own.labels.tolist()], dtype=int),
        data={"class_name": np.array(own.names, dtype=str)},
    )


def _package() -> Any:
    try:
        return import_module("supervision")
    except ImportError:
        raise ConfigError(
            "to_supervision: the package supervision is not installed; pip install mtvit-core[supervision]."
        ) from None
