"""Objects that keep their number from frame to frame.

Each category is followed by ByteTrack (Zhang et al. 2022), as the package trackers has it: boxes of high
scores are assigned first, by overlap with where a Kalman filter expects every object, then boxes of low ones.
"""

from importlib import import_module
from typing import Any

import numpy as np
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.structures.instances import Instances

#: Score from which an object that nobody follows is followed.
TRACK_SCORE = 0.5


class Tracker:
    """Numbers the objects of one video."""

    def __init__(self, score: float = TRACK_SCORE) -> None:
        """Begin a video.

        Args:
            score: Least score of an object that begins a track, in [0, 1]; those below go on with one.

        Raises:
            ConfigError: the packages of the extra ``track`` are not installed, or the score is out of range.
        """
        if not 0 <= score <= 1:
            raise ConfigError(f"track: score is {score!r}; give a number from 0 to 1.")
        self._score = score
        self._make, self._detections = _packages()
        self._trackers: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int], int] = {}

    @property
    def tracks(self) -> int:
        """Number of objects so far."""
        return len(self._numbers)

    def update(self, found: Instances, time: float) -> tuple[int | None, ...]:
        """Number the objects of the next frame.

        Args:
            found: The objects.
            time: Of the frame, in seconds.

        Returns:
            A number from 1 for each object, the same in all frames; None for those that are not followed,
            which in its first frame every object is.
        """
        numbers: list[int | None] = [None] * len(found)
        labels = set(found.labels.tolist())
        for label in sorted(labels | self._trackers.keys()):
            if label not in self._trackers:
                self._trackers[label] = self._make(
                    track_activation_threshold=self._score, high_conf_det_threshold=self._score
                )
            rows = torch.nonzero(found.labels == label)[:, 0]
            given = self._detections(
                xyxy=found.boxes[rows].numpy().astype(np.float32).reshape(-1, 4),
                confidence=found.scores[rows].numpy().astype(np.float32),
                class_id=np.full(len(rows), label),
                data={"row": rows.numpy()},  # the tracker changes the order
            )
            followed = self._trackers[label].update(given, timestamp=time)
            if not len(followed):
                continue
            for row, own in zip(followed.data["row"].tolist(), followed.tracker_id.tolist(), strict=True):
                if own >= 0:
                    numbers[row] = self._numbers.setdefault((label, own), len(self._numbers) + 1)
        return tuple(numbers)


def _packages() -> tuple[Any, Any]:
    try:
        return import_module("trackers").ByteTrackTracker, import_module("supervision").Detections
    except ImportError as cause:
        raise ConfigError(
            f"track: the package {cause.name} is not installed; pip install 'mtvit-core[track]'."
        ) from None
