"""What is taken for a video."""

import sys

import pytest

from mtvit_core.video.source import VideoSource, video_source


@pytest.mark.parametrize("given", ["film.mp4", "a/b/FILM.MOV", "old.avi", "x.webm"])
def test_endings_mark_files(given):
    source = video_source(given)
    assert (source.address, source.live, source.stem) == (given, False, given.split("/")[-1].split(".")[0])


@pytest.mark.parametrize("given", ["photo.jpg", "photos", "3d.png", "-1", "1.5", "٣"])
def test_other_paths_are_images(given):
    assert video_source(given) is None


@pytest.mark.skipif(sys.platform != "linux", reason="cameras are files on Linux alone")
def test_a_number_is_a_camera():
    assert video_source("0") == VideoSource("/dev/video0", "camera 0", "camera-0", True, "v4l2")


def test_a_folder_or_file_that_is_named_by_a_number_is_no_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    (tmp_path / "frames.mp4").mkdir()
    assert video_source("0") is None
    assert video_source("frames.mp4") is None


def test_an_address_is_told_without_its_password():
    source = video_source("rtsp://me:secret@cam.example:554/main?x=1")
    assert source.address == "rtsp://me:secret@cam.example:554/main?x=1"
    assert (source.name, source.stem) == ("rtsp://cam.example:554/main?x=1", "cam-example-554-main")
    assert source.live


def test_a_video_on_a_web_server_is_read_like_a_file():
    assert not video_source("https://example.org/film.mp4").live
