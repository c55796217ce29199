"""``mtvit predict`` keeps what is done when it is stopped, goes on, and says what it left out."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtvit_core.cli import result_files
from support.commands.command_cases import refusal, run

PARTIAL = "predictions.partial.jsonl"


def stop_at_second(monkeypatch: pytest.MonkeyPatch, stop: Callable[[], None]) -> None:
    """Let writing the second picture do something else."""
    write, count = result_files.write_pictures, [0]

    def written(*given: Any) -> dict[str, Any]:
        count[0] += 1
        if count[0] == 2:
            stop()
        return write(*given)

    monkeypatch.setattr(result_files, "write_pictures", written)


def interrupt() -> None:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def terminate() -> None:
    """As a scheduler does."""
    os.kill(os.getpid(), signal.SIGTERM)


def fill() -> None:
    """As a full disk does."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stop", [interrupt, terminate, fill])
def test_a_run_that_is_stopped_goes_on(model, images, tmp_path, monkeypatch, stop):
    out, whole = tmp_path / "out", tmp_path / "whole"
    run("predict", model, images, "--out", whole, "--batch-size", 1)
    with monkeypatch.context() as patch:
        stop_at_second(patch, stop)
        result = run("predict", model, images, "--out", out, "--batch-size", 1)
    so_far = "1 of 2 images are done; go on with --resume."
    if stop is fill:
        wanted = f"error: out {out}: it cannot be written ([Errno 28] No space left on device); {so_far}\n"
        assert (result.exit_code, result.stderr) == (2, wanted)
    else:
        assert (result.exit_code, result.stderr) == (75, f"stopped: {so_far}\n")
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", PARTIAL]
    assert refusal("predict", model, images, "--out", out) == (
        f"error: out {out}: a run was stopped here; go on with --resume, or give another folder."
    )
    with (out / PARTIAL).open("a") as file:
        file.write('{"file_name": "torn')
    before = (out / "a.jpg").stat().st_mtime_ns
    again = run("predict", model, images, "--out", out, "--batch-size", 1, "--resume")
    assert (again.exit_code, again.stderr) == (0, "")
    assert (out / "a.jpg").stat().st_mtime_ns == before
    assert (out / "predictions.json").read_text() == (whole / "predictions.json").read_text()
    assert not (out / PARTIAL).exists()


def test_a_run_goes_on_with_the_same_settings_only(model, images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert refusal("predict", model, images, "--out", out, "--resume") == (
        f"error: out {out}: no run was stopped here; leave --resume out."
    )
    stop_at_second(monkeypatch, interrupt)
    run("predict", model, images, "--out", out, "--batch-size", 1)
    assert refusal("predict", model, images, "--out", out, "--resume", "--min-score", 0.5) == (
        f"error: out {out}: the run that was stopped here had min_score 0.3, not 0.5; go on with the same, "
        "or give another folder."
    )


def test_folders_below_are_kept_and_what_is_left_out_is_named(model, images, tmp_path):
    (images / "more" / "deep").mkdir(parents=True)
    (images / ".hidden").mkdir()
    for place in ("more/a.png", "more/deep/a.png", ".hidden/c.png", ".d.png"):
        Image.new("RGB", (40, 20), "green").save(images / place)
    (images / "notes.txt").write_text("these are images")
    (images / "more" / "list.csv").write_text("a,b")
    out = images / "found"
    result = run("predict", model, images, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"Images: 4, objects: 4. Pictures and predictions.json are in {out}.\n"
        f"Left out, as their endings are none of images: 2 files: {images / 'notes.txt'}, "
        f"{images / 'more' / 'list.csv'}.\n"
    )
    pictures = sorted(str(path.relative_to(out)) for path in out.rglob("*.jpg"))
    assert pictures == ["a.jpg", "b.jpg", "more/a.jpg", "more/deep/a.jpg"]
    again = run("predict", model, images, "--out", tmp_path / "again")  # pictures are images by now
    assert again.stdout.startswith("Images: 8, ")


@pytest.mark.parametrize("below", ["file/found", "file"])
def test_a_folder_that_cannot_be_made_is_one_line_before_the_model_is_read(images, tmp_path, below):
    (tmp_path / "file").write_text("no folder")
    line = refusal("predict", tmp_path / "no model", images, "--out", tmp_path / below)
    assert line.startswith(f"error: out {tmp_path / below}: ")
    assert "cannot be written" in line or "is a file" in line


def test_a_folder_that_stays_empty_is_not_left(images, tmp_path):
    out = tmp_path / "deep" / "out"
    refusal("predict", tmp_path / "no model", images, "--out", out)
    assert not (tmp_path / "deep").exists()


def test_all_damaged_images_are_named(model, images, tmp_path):
    for name in ("c.jpg", "d.jpg"):
        Image.effect_noise((90, 90), 60).convert("RGB").save(images / name)
        whole = (images / name).read_bytes()
        (images / name).write_bytes(whole[: len(whole) // 2])
    result = run("predict", model, images, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: 2 of 4 images were left out: {images / 'c.jpg'}: the image is")
    assert result.stderr.endswith(f" Also: {images / 'd.jpg'}.\n")
    assert Path(tmp_path / "out" / "predictions.json").exists()
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 2
