"""A task whose results are known and of every kind, and a server that runs beside a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

import mtvit_core
from mtvit_core.serving.app import create_app
from mtvit_core.serving.limits import Limits
from mtvit_core.serving.served import Served
from mtvit_core.serving.server import address, bound
from support.commands.command_cases import CATEGORIES

#: Finds a person (score 0.9, mask, skeleton), a cup (0.5, mask) and an unsure person (0.2), anywhere.
SHOW = """
import numpy as np
import torch
from torch import nn
from mtvit_core import DenseMap, ImageLabels, ImageResult, Instances, Task, TaskConfig, encode_rle, hookimpl

BOXES = torch.tensor([[.1, .1, .4, .9], [.6, .5, .9, .8], [.5, .1, .7, .4]])
POSE = [(.5, .06), (.45, .04), (.55, .04), (.4, .06), (.6, .06), (.25, .22), (.75, .22), (.15, .4), (.85, .4),
        (.1, .55), (.9, .55), (.35, .52), (.65, .52), (.35, .74), (.65, .74), (.35, .95), (.65, .95)]

class Config(TaskConfig):
    pass

class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)
    def forward(self, features):
        return self.score(features.last.patches.flatten(2).mean(2)).sigmoid()[:, 0]

class Show(Task):
    name = "show"
    api = 1
    Config = Config
    needs = frozenset({"boxes"})
    finds_boxes = True
    def tokens(self, backbone): return []
    def head(self, backbone): return Head(backbone.width)
    def targets(self, annotations, canvas, device): raise NotImplementedError
    def loss(self, predictions, targets, match): raise NotImplementedError
    def evaluator(self): raise NotImplementedError
    def decode(self, predictions, meta):
        return [self.one(m) for m in meta]
    def one(self, m):
        boxes = BOXES * torch.tensor([m.width, m.height] * 2)
        rows, columns = np.mgrid[:m.height, :m.width]
        masks = []
        for x0, y0, x1, y1 in boxes[:2].tolist():
            dx, dy = (columns - (x0 + x1) / 2) / (x1 - x0) * 2, (rows - (y0 + y1) / 2) / (y1 - y0) * 2
            masks.append(encode_rle(dx**2 + dy**2 < 1))
        keypoints = torch.full((3, 17, 3), torch.nan)
        x0, y0, x1, y1 = boxes[0].tolist()
        for i, (x, y) in enumerate(POSE):
            keypoints[0, i] = torch.tensor([x0 + x * (x1 - x0), y0 + y * (y1 - y0), .2 if i == 4 else .9])
        found = Instances(m.height, m.width, self.categories, torch.tensor([0, 1, 0]),
                          torch.tensor([.9, .5, .2]), boxes, ("show",) * 3, (*masks, None), keypoints,
                          m.image_id, m.file_name)
        slope = torch.linspace(1, 5, m.width).expand(1, m.height, m.width)
        labels = ImageLabels.of(torch.tensor([.8, .1]), self.categories)
        return ImageResult(found, {"show": DenseMap(slope, ("depth",))}, {"show": labels})

@hookimpl
def mtvit_task(): return Show
"""


def show_model() -> mtvit_core.MultiTaskViT:
    """A tiny model with the task ``show``, which has to be installed."""
    return mtvit_core.build("test_vit", ["show"], CATEGORIES, canvas=(32, 48)).eval()


def served(
    model: mtvit_core.MultiTaskViT, where: Path = Path("model.safetensors"), **limits: float
) -> Served:
    """A model as a server holds it."""
    return Served(model, str(where), f"mtvit_core.load({str(where)!r})", "cpu, 1 thread", Limits(**limits))


@contextmanager
def running(what: Served, token: str | None = None) -> Iterator[str]:
    """Serve in a thread; yields the address."""
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(what, token=token), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield address(listening)
        finally:
            server.should_exit = True
            thread.join()
