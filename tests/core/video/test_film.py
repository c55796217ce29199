"""Films: they play, at the times that they were given, up to the last picture."""

import av
import pytest
from PIL import Image

from mtvit_core.video.film import Film


def played(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), frame.width, frame.height, frame.to_image())
            for frame in container.decode(stream)
        ]


def test_a_film_has_the_pictures_and_times_it_was_given(tmp_path):
    times = [2.0, 2.04, 2.3, 2.31, 5.0]
    with Film(tmp_path / "film.mp4", 25.0) as film:
        for i, time in enumerate(times):
            film.add(Image.new("RGB", (64, 48), (40 * i, 10, 10)), time)
    found = played(tmp_path / "film.mp4")
    assert [time for time, *_ in found] == pytest.approx([time - 2 for time in times], abs=1e-3)
    assert [picture.getpixel((30, 20))[0] for *_, picture in found] == pytest.approx(
        [0, 40, 80, 120, 160], abs=6
    )


def test_odd_sides_get_one_more_row_or_column_and_later_sizes_are_fitted(tmp_path):
    with Film(tmp_path / "film.mp4", None) as film:
        film.add(Image.new("RGB", (65, 33), "white"), 0.0)
        film.add(Image.new("RGB", (130, 80), "white"), 0.1)
    found = played(tmp_path / "film.mp4")
    assert {(width, height) for _, width, height, _ in found} == {(66, 34)}
    assert min(found[0][3].getpixel((65, 33))) > 235


def test_times_that_start_anew_do_not_end_a_film(tmp_path):
    with Film(tmp_path / "film.mp4", 25.0) as film:
        for time in (0.0, 1.0, 0.0, 0.5, 2.0):
            film.add(Image.new("RGB", (64, 48)), time)
    assert len(played(tmp_path / "film.mp4")) == 5


def test_a_film_that_was_never_ended_plays_what_it_has(tmp_path):
    film = Film(tmp_path / "film.mp4", 25.0)
    for i in range(160):
        film.add(Image.new("RGB", (64, 48), (i, 0, 0)), i / 25)
    assert len(played(tmp_path / "film.mp4")) >= 100
