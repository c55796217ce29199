"""Frames of files: all of them, upright, at their times; and files that are torn."""

import pytest

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.video import frames as frames_module
from mtvit_core.video.frames import Reading, file_frames
from mtvit_core.video.source import video_source
from support.models.film_cases import SHADES, write_film


def read(path, reading=None):
    return list(file_frames(video_source(path), reading or Reading()))


def test_every_frame_comes_with_its_time(tmp_path):
    write_film(tmp_path / "film.mp4", milliseconds=(0, 40, 95, 700, 1200))
    reading = Reading()
    found = read(tmp_path / "film.mp4", reading)
    assert [frame.index for frame in found] == [0, 1, 2, 3, 4]
    assert [frame.time for frame in found] == pytest.approx([0, 0.04, 0.095, 0.7, 1.2], abs=1e-3)
    assert [float(frame.image[:, :, :20].float().mean()) for frame in found] == pytest.approx(SHADES, abs=3)
    assert tuple(found[0].image.shape) == (3, 32, 48)
    assert (reading.frames, reading.total, reading.damaged, reading.ended) == (5, 5, 0, "")


@pytest.mark.parametrize(
    ("rotation", "size", "bright"),
    [
        (0, (32, 48), lambda image: image[:, :, 24:]),
        (90, (48, 32), lambda image: image[:, :24]),  # turned left, its right side is up
        (180, (32, 48), lambda image: image[:, :, :24]),
        (270, (48, 32), lambda image: image[:, 24:]),
    ],
)
def test_frames_are_turned_as_the_file_says(tmp_path, rotation, size, bright):
    write_film(tmp_path / "film.mov", rotation=rotation)
    image = read(tmp_path / "film.mov")[2].image.float()
    assert tuple(image.shape) == (3, *size)
    assert float(bright(image).mean()) > float(image.mean()) + 3


@pytest.mark.parametrize("keep", [0.4, 0.75])
def test_a_torn_file_gives_what_it_has(tmp_path, keep):
    path = tmp_path / "film.mp4"
    write_film(path, frames=100, movflags="faststart")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    reading = Reading()
    found = read(path, reading)
    assert 10 < len(found) < 90
    assert reading.ended


def test_packets_that_are_damaged_are_left_out(tmp_path):
    path = tmp_path / "film.avi"
    write_film(path, frames=20, encoder="mjpeg")
    data = path.read_bytes()
    starts = [i for i in range(len(data)) if data.startswith(b"\xff\xd8", i)]
    for start, end in ((starts[5], starts[6]), (starts[6], starts[7])):
        data = data[:start] + bytes(end - start - 8) + data[end - 8 :]  # the header of the next one stays
    path.write_bytes(data)
    reading = Reading()
    found = read(path, reading)
    assert (len(found), reading.damaged, reading.ended) == (18, 2, "")


def test_what_is_no_video_is_told_in_one_line(tmp_path):
    path = tmp_path / "film.mp4"
    with pytest.raises(DataError, match=r"film\.mp4: it cannot be opened as a video \(No such file"):
        read(path)
    path.write_text("no video")
    with pytest.raises(DataError, match=r"film\.mp4: it cannot be opened as a video \(Invalid data"):
        read(path)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(frames_module, "import_module", missing)
    with pytest.raises(
        ConfigError, match=r"the package av is not installed; pip install 'mtvit-core\[video\]'"
    ):
        read(tmp_path / "film.mp4")
