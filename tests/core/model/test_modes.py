"""Several threads evaluate one model in training: each as if alone, and the modes come back with the last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

import mtvit_core
from mtvit_core import COCO_PERSON, Categories, Category
from mtvit_core.model.modes import evaluating

CATEGORIES = Categories((Category(1, "person", COCO_PERSON),))


def test_the_first_switches_and_the_last_switches_back() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))
    model[1].eval()
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with evaluating(model):
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(5)
    with evaluating(model):
        leave.set()
        thread.join()
        assert not model.training  # the one that switched has left, and this one still evaluates
    assert model.training
    assert [module.training for module in model] == [True, False]


def test_modes_come_back_after_an_error() -> None:
    model = nn.Dropout(0.5)
    try:
        with evaluating(model), evaluating(model):
            raise KeyError
    except KeyError:
        pass
    assert model.training


def test_predictions_of_threads_are_those_of_one() -> None:
    """With dropped paths and batch norms, a model that is in training would answer otherwise."""
    options = {"depth": 2, "drop_path_rate": 0.5, "proj_drop_rate": 0.3}
    backbone = mtvit_core.create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, {"det": {"variant": "yolos", "queries": 6}}, CATEGORIES).train()
    images = [torch.randint(0, 256, (3, 50, 60), dtype=torch.uint8) for _ in range(24)]
    expected = [found.scores for found in model.predict(images)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda image: model.predict([image])[0].scores, images))
    assert model.training
    for mine, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, alone)
