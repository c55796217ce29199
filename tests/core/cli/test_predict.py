"""``mtvit predict``: from images to one file of results, and every message it ends with."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from support.commands.command_cases import refusal, run


def test_predict_writes_pictures_and_one_json(model, images, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, images, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Images: 2, objects: 2. Pictures and predictions.json are in {out}.\n"
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.jpg", "predictions.json"]
    first, second = json.loads((out / "predictions.json").read_text())
    assert (first["file_name"], first["height"], first["width"]) == (str(images / "a.png"), 20, 40)
    (thing,) = first["objects"]
    assert 0.3 <= thing.pop("score") <= 1
    expected = {"id": 1, "task": "middle", "category": "person", "category_id": 7}
    assert thing == {**expected, "bbox": [10.0, 5.0, 20.0, 10.0]}
    assert second["objects"][0]["bbox"] == [25.0, 15.0, 50.0, 30.0]
    with Image.open(out / "b.jpg") as picture:
        assert picture.size == (600, 360)


def test_predict_takes_files_and_leaves_out_low_scores(model, images, tmp_path):
    result = run("predict", model, images / "b.jpg", "--out", tmp_path / "out", "--min-score", "0.999")
    assert result.stdout.startswith("Images: 1, objects: 0.")
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())[0]["objects"] == []


def test_predict_does_not_depend_on_the_batch_size(model, images, tmp_path):
    scores = []
    for size in ("1", "2"):
        run("predict", model, images, "--out", tmp_path / size, "--batch-size", size)
        entries = json.loads((tmp_path / size / "predictions.json").read_text())
        scores.append([entry["objects"][0]["score"] for entry in entries])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_predict_overwrites_nothing(model, images, tmp_path):
    out = tmp_path / "out"
    run("predict", model, images, "--out", out)
    assert refusal("predict", model, images, "--out", out) == (
        f"error: out {out}: predictions.json already exists; give another folder with --out."
    )
    (out / "predictions.json").unlink()
    assert refusal("predict", model, images, "--out", out) == (
        f"error: out {out}: a.jpg already exists; give another folder with --out."
    )
    assert refusal("predict", model, images, "--out", out / "a.jpg") == (
        f"error: out {out / 'a.jpg'}: is a file; give a folder."
    )


def test_predict_refuses_two_images_of_one_name(model, images, tmp_path):
    Image.new("RGB", (4, 4)).save(images / "a.bmp")
    out = tmp_path / "out"
    assert refusal("predict", model, images, "--out", out) == (
        f"error: images {images / 'a.bmp'} and {images / 'a.png'}: both would be written to {out / 'a.jpg'}; "
        "predict them into separate folders."
    )


def test_an_unreadable_header_stops_predict_before_it_starts(model, images, tmp_path):
    (images / "c.png").write_text("no image")
    out = tmp_path / "out"
    known = "allowed are JPEG, PNG, BMP, GIF, WebP, TIFF and PPM."
    assert refusal("predict", model, images, "--out", out) == (
        f"error: {images / 'c.png'}: not an image in a known format; {known}"
    )
    (images / "d.png").write_text("no image")
    assert refusal("predict", model, images, "--out", out) == (
        f"error: {images / 'c.png'}: not an image in a known format; {known} "
        "1 more of 4 images cannot be read; nothing was predicted."
    )
    assert not out.exists()


def test_damaged_pixels_are_named_and_cost_no_other_result(model, images, tmp_path):
    noise = torch.randint(0, 255, (80, 80, 3), dtype=torch.uint8).numpy()
    Image.fromarray(noise).save(images / "c.jpg")
    whole = (images / "c.jpg").read_bytes()
    (images / "aa.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "c.jpg").unlink()
    out = tmp_path / "out"
    result = run("predict", model, images, "--out", out)
    assert result.exit_code == 2
    assert result.stdout.startswith("Images: 2, objects: 2.")
    assert result.stderr.startswith(
        f"error: 1 of 3 images were left out: {images / 'aa.jpg'}: the image is damaged"
    )
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.jpg", "predictions.json"]
    names = [Path(entry["file_name"]).name for entry in json.loads((out / "predictions.json").read_text())]
    assert names == ["a.png", "b.jpg"]


def test_predict_names_what_is_missing(model, images, tmp_path):
    out = tmp_path / "out"
    nothing = tmp_path / "nothing"
    assert refusal("predict", nothing, images, "--out", out).startswith(
        f"error: checkpoint {nothing}: no such file"
    )
    assert refusal("predict", model, nothing, "--out", out) == (
        f"error: {nothing}: no such file or folder; check the path."
    )
    assert refusal("predict", model, images, "--out", out, "--tasks", "middle,det") == (
        f"error: checkpoint {model}: it has no task 'det'; it holds middle."
    )
    assert not out.exists()


def test_predict_changes_settings_of_tasks(model, images, tmp_path):
    out = tmp_path / "out"
    line = refusal("predict", model, images, "--out", out, "--set", "middle.views=person")
    assert line.startswith(f"error: checkpoint {model}: config: tasks.middle.views is not a setting. Did you")
    boxes = tmp_path / "predictions.json"
    boxes.write_text("[]")
    by_person = ("predict", model, images, "--out", out, "--boxes", boxes)
    assert "looks at one person at a time; leave --boxes out" in refusal(*by_person)
    assert (
        "looks at one person at a time; leave --boxes out"
        not in run(*by_person, "--set", "middle.view=person").stderr
    )
