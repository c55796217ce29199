"""Tracks: an object keeps its number, whatever the order of rows."""

import pytest
import torch

from mtvit_core.errors import ConfigError
from mtvit_core.structures.instances import Instances
from mtvit_core.video import tracking
from mtvit_core.video.tracking import Tracker
from support.commands.command_cases import CATEGORIES


def found(*objects):
    """Objects as (label, x, score), boxes of 20 x 20."""
    boxes = [[x, 10.0, x + 20, 30.0] for _, x, _ in objects]
    return Instances(
        height=100,
        width=400,
        categories=CATEGORIES,
        labels=torch.tensor([label for label, _, _ in objects], dtype=torch.int64),
        scores=torch.tensor([score for _, _, score in objects], dtype=torch.float32),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        tasks=("det",) * len(objects),
        rles=(None,) * len(objects),
        keypoints=torch.full((len(objects), 17, 3), torch.nan),
    )


def test_objects_keep_their_numbers_when_they_move_and_change_places():
    tracker = Tracker()
    numbers = []
    for i in range(6):
        objects = [(0, 10.0 + 4 * i, 0.9), (1, 12.0 + 4 * i, 0.8), (0, 300.0 - 4 * i, 0.9)]
        order = [0, 1, 2] if i % 2 else [2, 0, 1]
        told = tracker.update(found(*(objects[j] for j in order)), i / 25)
        numbers.append({(objects[j][0], j): number for j, number in zip(order, told, strict=True)})
    assert set(numbers[0].values()) == {None}  # nobody is sure of a single frame
    assert all(frame == numbers[1] for frame in numbers[2:])
    assert sorted(numbers[1].values()) == [1, 2, 3]
    assert tracker.tracks == 3


def test_an_object_comes_back_under_its_number():
    tracker = Tracker()
    told = []
    for i in range(12):
        away = 4 <= i < 7
        told.append(tracker.update(found() if away else found((0, 50.0, 0.9)), i / 25))
    assert told[3] == told[11] == (1,)
    assert told[5] == ()


def test_unsure_objects_go_on_with_a_track_and_begin_none():
    tracker = Tracker(0.5)
    for i in range(3):
        tracker.update(found((0, 50.0, 0.9)), i / 25)
    assert tracker.update(found((0, 51.0, 0.2), (0, 200.0, 0.2)), 3 / 25) == (1, None)


def test_refusals(monkeypatch):
    with pytest.raises(ConfigError, match="track: score is 2; give a number from 0 to 1"):
        Tracker(2)

    def missing(name):
        raise ImportError(name, name=name)

    monkeypatch.setattr(tracking, "import_module", missing)
    with pytest.raises(ConfigError, match=r"trackers is not installed; pip install 'mtvit-core\[track\]'"):
        Tracker()
