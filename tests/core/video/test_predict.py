"""Results of every frame, a bounded number of frames at a time."""

import weakref
from functools import partial

import pytest

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.video import predict as predict_module
from mtvit_core.video.frames import Reading
from mtvit_core.video.live import live_frames
from mtvit_core.video.predict import predict_video
from mtvit_core.video.tracking import Tracker
from support.models.film_cases import sent, write_film


def test_every_frame_has_the_result_of_its_image(model, tmp_path):
    write_film(tmp_path / "film.mp4", 7)
    loaded = mtvit_core.load(model)
    found = list(predict_video(loaded, tmp_path / "film.mp4", PredictOptions(batch_size=3)))
    assert [one.frame.index for one in found] == list(range(7))
    assert [one.result.image_id for one in found] == list(range(7))
    for one in found:
        (alone,) = loaded.predict([one.frame.image])
        assert alone.scores.tolist() == pytest.approx(one.result.scores.tolist(), abs=1e-5)
    told = found[3].to_json()
    assert (told["frame"], told["time"]) == (3, pytest.approx(0.12, abs=1e-3))
    assert "track" not in told["objects"][0]


def test_tracks_stand_with_the_objects(model, tmp_path):
    write_film(tmp_path / "film.mp4", 4)
    tracker = Tracker(0.1)
    found = list(predict_video(mtvit_core.load(model), tmp_path / "film.mp4", tracker=tracker))
    assert [one.to_json()["objects"][0]["track"] for one in found] == [None, 1, 1, 1]


def test_frames_are_let_go(model, tmp_path):
    write_film(tmp_path / "film.mp4", 60)
    alive = weakref.WeakSet()
    most = 0
    for one in predict_video(mtvit_core.load(model), tmp_path / "film.mp4", PredictOptions(batch_size=2)):
        alive.add(one.frame.image)
        most = max(most, len(alive))
    assert most <= 4


def test_a_stream_is_predicted_by_its_newest_frame(model, monkeypatch):
    monkeypatch.setattr(predict_module, "live_frames", partial(live_frames, pauses=()))
    reading = Reading()
    with sent(30) as where:
        found = list(predict_video(mtvit_core.load(model), where, reading=reading))
    assert found[0].result.file_name == where
    assert len(found) + reading.dropped >= 25


def test_what_is_no_video_is_refused(model):
    with pytest.raises(ConfigError, match=r"video photo\.jpg: it is no video; give a file, an address or"):
        list(predict_video(mtvit_core.load(model), "photo.jpg"))
