"""``mtvit predict`` on videos: files that are written, and every way that it ends."""

import json

import av
import pytest

from mtvit_core.cli.video import predict as predict_module
from support.commands.command_cases import refusal, run
from support.models.film_cases import write_film


@pytest.fixture
def film(tmp_path):
    write_film(tmp_path / "film.mp4", 5, size=(640, 480))
    return tmp_path / "film.mp4"


def lines(out):
    return [json.loads(line) for line in (out / "film.jsonl").read_text().splitlines()]


def frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video_gives_lines_and_a_drawn_video(model, film, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, film, "--out", out, "--track", "--track-score", "0.1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Frames: 5 in ")
    assert result.stdout.endswith(f" a second; objects: 5, tracks: 1. film.jsonl and film.mp4 in {out}.\n")
    assert [entry["frame"] for entry in lines(out)] == [0, 1, 2, 3, 4]
    assert [entry["objects"][0]["track"] for entry in lines(out)] == [None, 1, 1, 1, 1]
    assert frames(out / "film.mp4") == 5


def test_drawing_can_be_left_out_and_frames_counted(model, film, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, film, "--out", out, "--no-draw", "--max-frames", "3")
    assert result.stdout.endswith(f"; objects: 3. film.jsonl in {out}.\n")
    assert [path.name for path in out.iterdir()] == ["film.jsonl"]
    assert len(lines(out)) == 3


def test_a_torn_video_keeps_its_frames_and_ends_in_one_line(model, tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, frames=100, movflags="faststart")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    out = tmp_path / "out"
    result = run("predict", model, film, "--out", out)
    kept = len(lines(out))
    assert result.exit_code == 2
    assert kept > 10
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {film}: it ended early (")
    assert line.endswith(f"; the {kept} frames before are kept.")
    assert frames(out / "film.mp4") == kept


def test_a_video_that_cannot_be_read_leaves_nothing(model, tmp_path):
    (tmp_path / "film.mp4").write_text("no video")
    line = refusal("predict", model, tmp_path / "film.mp4", "--out", tmp_path / "out")
    assert line.startswith(f"error: {tmp_path / 'film.mp4'}: it cannot be opened as a video (Invalid data")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_frames(model, film, tmp_path, monkeypatch):
    add = predict_module._Writer.add

    def interrupted(self, found, done):
        add(self, found, done)
        if done.frames == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(predict_module._Writer, "add", interrupted)
    result = run("predict", model, film, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == f"stopped: {film}: the frames so far are kept.\n"
    assert len(lines(tmp_path / "out")) == frames(tmp_path / "out" / "film.mp4") == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("FILM", "FILM"), "FILM: a video is predicted alone; run the command once for each."),
        (("FILM", "--resume"), "resume: it is about images, and FILM is a video; leave --resume out."),
        (("FILM", "--boxes", "x"), "boxes: it is about images, and FILM is a video; leave --boxes out."),
        (
            ("FILM", "--track", "--no-link"),
            "track: it follows objects, not what each task finds; leave --no-link out.",
        ),
        (("FILM", "--track-score", "0.4"), "track-score: nothing is tracked; give --track too."),
        (("a.jpg", "--track"), "track: it is about videos, and a.jpg is none; leave --track out."),
        (("a.jpg", "--no-draw"), "no-draw: it is about videos, and a.jpg is none; leave --no-draw out."),
    ],
)
def test_options_that_do_not_fit_are_refused(model, film, tmp_path, given, told):
    arguments = [str(film) if word == "FILM" else word for word in given]
    line = refusal("predict", model, *arguments, "--out", tmp_path / "out")
    assert line == f"error: {told.replace('FILM', str(film))}"


def test_nothing_is_overwritten(model, film, tmp_path):
    line = refusal("predict", model, film, "--out", tmp_path)
    assert line == f"error: out {tmp_path}: film.mp4 already exists; give another folder with --out."
