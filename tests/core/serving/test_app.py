"""The server's answers: results, and one line for everything that it refuses."""

import base64
import threading
import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mtvit_core.errors import DivergedError
from mtvit_core.serving import app as app_module
from mtvit_core.structures.masks import Rle, decode_rle


def refused(response, status):
    assert response.status_code == status
    (key,) = response.json()
    assert key == "error"
    assert "\n" not in response.json()["error"]
    return response.json()["error"]


def test_an_image_is_answered_with_everything_that_was_found(client, photo):
    told = client().post("/predict", content=photo).json()
    assert (told["width"], told["height"], told["device"]) == (200, 100, "cpu, 1 thread")
    person, cup = told["objects"]
    assert (person["category"], person["score"]) == ("person", pytest.approx(0.9))
    assert person["bbox"] == pytest.approx([20, 10, 60, 80], abs=1e-4)
    assert (cup["category_id"], len(person["keypoints"])) == (9, 51)
    mask = decode_rle(Rle(tuple(cup["segmentation"]["size"]), cup["segmentation"]["counts"]))
    assert mask[65, 150]
    assert mask.mean() == pytest.approx(0.3 * 0.3 * np.pi / 4, rel=0.05)
    assert told["labels"]["show"][0] == {"category": "person", "category_id": 7, "score": pytest.approx(0.8)}
    depth = told["maps"]["show"]
    assert (depth["kind"], depth["range"]) == ("dense", [1.0, 5.0])
    with Image.open(BytesIO(base64.b64decode(depth["png"]))) as picture:
        assert (picture.size, picture.getpixel((199, 50))) == ((200, 100), (255, 255, 255))
    assert set(told["milliseconds"]) == {"queue", "decode", "model", "encode"}


def test_the_query_chooses_what_is_told(client, photo):
    ask = client().post
    assert len(ask("/predict?min_score=0.1", content=photo).json()["objects"]) == 3
    told = ask("/predict?min_score=0.1&category=cup&maps=false", content=photo).json()
    assert [found["category"] for found in told["objects"]] == ["cup"]
    assert "png" not in told["maps"]["show"]


def test_what_cannot_be_read_is_told_in_one_line(client, photo):
    ask = client().post
    assert refused(ask("/predict", content=b"no image"), 422).startswith("image: not an image in a known")
    assert "damaged" in refused(ask("/predict", content=photo[:400]), 422)
    assert refused(ask("/predict", content=b""), 422) == "body: it is empty; send an image file."
    assert refused(ask("/predict?min_score=2", content=photo), 422).startswith("min_score: Input should be")
    line = refused(ask("/predict?category=cups", content=photo), 422)
    assert line.startswith("category 'cups': the model does not know it. Did you mean 'cup'?")
    line = refused(ask("/predict", files={"image": photo}), 415)
    assert line.startswith("body: it is 'multipart/form-data'; send the image file itself, as curl")
    assert refused(client().get("/nothing"), 404) == "Not Found"
    assert refused(client().get("/predict"), 405) == "Method Not Allowed"


def test_limits_are_kept(client, photo):
    ask = client(megabytes=0.001, megapixels=0.01).post
    assert refused(ask("/predict", content=bytes(1100)), 413).startswith("body: it has over 1048 bytes")
    assert refused(ask("/predict", content=iter([bytes(700)] * 2)), 413).startswith("body: it has over")
    assert "200 x 100 pixels, over the cap of 10000" in refused(ask("/predict", content=photo), 422)


def test_a_bomb_is_refused_by_its_header(client):
    file = BytesIO()
    Image.new("1", (20000, 20000)).save(file, "PNG")
    assert "over the cap" in refused(client().post("/predict", content=file.getvalue()), 422)


def slow(seconds, then):
    def work(*arguments):
        time.sleep(seconds)
        return then(*arguments)

    return work


def test_more_than_may_wait_are_sent_away(client, photo, monkeypatch):
    monkeypatch.setattr(app_module, "answer", slow(0.4, app_module.answer))
    ask = client(waiting=1)
    statuses = []

    def post():
        response = ask.post("/predict", content=photo)
        statuses.append((response.status_code, response.headers.get("retry-after")))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses, key=str) == [(200, None)] * 2 + [(429, "1")] * 2
    assert ask.post("/predict", content=photo).status_code == 200  # places are given back


def test_what_takes_too_long_is_given_up(client, photo, monkeypatch):
    monkeypatch.setattr(app_module, "answer", slow(0.3, app_module.answer))
    ask = client(seconds=0.1)
    line = refused(ask.post("/predict", content=photo), 504)
    assert line == "time: the image was not answered within 0.1 seconds."


def test_a_model_that_fails_is_told_and_goes_on(client, photo, monkeypatch):
    ask = client()

    def diverged(*_):
        raise DivergedError("task show: its scores are not finite.")

    def broken(*_):
        raise RuntimeError("secret of the machine")

    with monkeypatch.context() as patch:
        patch.setattr(app_module, "answer", diverged)
        assert refused(ask.post("/predict", content=photo), 500) == "task show: its scores are not finite."
        patch.setattr(app_module, "answer", broken)
        line = refused(ask.post("/predict", content=photo), 500)
        assert line == "the model failed (RuntimeError); see the server's log."
    assert ask.post("/predict", content=photo).status_code == 200


def test_health_and_metrics(client, photo):
    ask = client()
    ask.post("/predict", content=photo)
    ask.get("/nothing")
    assert ask.get("/health").json() == ask.get("/ready").json() == {"status": "ok"}
    text = ask.get("/metrics").text
    assert 'mtvit_requests_total{path="/predict",status="200"} 1.0' in text
    assert 'mtvit_requests_total{path="other",status="404"} 1.0' in text
    assert "mtvit_objects_total 2.0" in text
    assert 'mtvit_stage_seconds_count{stage="model"} 1.0' in text
    assert "mtvit_predictions_in_server 0.0" in text


def test_the_card_names_what_a_page_needs(client):
    card = client().get("/model").json()
    assert card["python"].startswith("mtvit_core.load('")
    assert card["tasks"] == [{"name": "show", "view": "image"}]
    assert [entry["name"] for entry in card["categories"]] == ["person", "cup"]
    assert card["categories"][0]["keypoints"]["flip_pairs"][0] == [1, 2]
    assert card["limits"]["pixels"] == 50_000_000


def test_nothing_of_the_page_names_another_address(client):
    ask = client()
    names = ["", "page/main.js", "page/style.css", "page/icon.svg", "page/sample.jpg"]
    for name in names:
        response = ask.get(f"/{name}")
        assert response.status_code == 200, name
        assert "default-src 'none'" in response.headers["content-security-policy"]
        text = response.text.replace("http://www.w3.org/2000/svg", "")
        assert name.endswith(".jpg") or "://" not in text, name
    assert ask.get("/docs").status_code == 404  # it would load scripts from elsewhere
