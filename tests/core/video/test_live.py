"""Streams: the newest frame, and what happens when no more come."""

import time

import pytest

from mtvit_core.errors import DataError
from mtvit_core.video.frames import Reading
from mtvit_core.video.live import live_frames
from mtvit_core.video.source import video_source
from support.models.film_cases import free_port, sent


def test_a_stream_that_stops_keeps_its_frames_and_tells_why():
    reading = Reading()
    with sent(40) as where:
        found = []
        for frame in live_frames(video_source(where), reading, pauses=(0.01, 0.01)):
            found.append(frame)
            time.sleep(0.01)  # slower than the stream
    assert found
    assert [frame.index for frame in found] == list(range(len(found)))
    assert len(found) + reading.dropped >= 35
    assert "it was opened 2 times again" in reading.ended


def test_times_of_a_stream_grow():
    with sent(30) as where:
        times = [frame.time for frame in live_frames(video_source(where), Reading(), pauses=())]
    assert times == sorted(times)


def test_a_stream_that_is_not_there_is_told_in_one_line():
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(DataError, match=r"tcp://127\.0\.0\.1:\d+: it cannot be opened as a video"):
        list(live_frames(video_source(address), Reading()))


def test_a_stream_can_be_left_before_its_end():
    with sent(200) as where:
        frames = live_frames(video_source(where), Reading(), pauses=())
        assert next(frames).index == 0
        frames.close()
