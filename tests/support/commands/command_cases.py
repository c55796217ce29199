"""The command ``mtvit`` run in this process, and a plugin for it to find."""

from pathlib import Path

from click.testing import CliRunner, Result

from mtvit_core.cli.main import main
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON

# A task without queries: it scores the mean patch, and its box is the middle half of what it sees.
MIDDLE = """
from dataclasses import dataclass
import torch
from torch import nn
from mtvit_core import ImageResult, Instances, Task, TaskConfig, hookimpl

class MiddleConfig(TaskConfig):
    view: str = "image"

class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)
    def forward(self, features):
        return self.score(features.last.patches.flatten(2).mean(2)).sigmoid()[:, 0]

class Middle(Task):
    name = "middle"
    api = 1
    views = frozenset({"image", "person"})
    Config = MiddleConfig
    needs = frozenset({"boxes"})
    @property
    def view(self): return self.config.view
    @property
    def finds_boxes(self): return self.view == "image"
    def tokens(self, backbone): return []
    def head(self, backbone): return Head(backbone.width)
    def targets(self, annotations, canvas, device): raise NotImplementedError
    def loss(self, predictions, targets, match): raise NotImplementedError
    def evaluator(self): raise NotImplementedError
    def decode(self, predictions, meta):
        return [self.one(score, m) for score, m in zip(predictions, meta)]
    def one(self, score, m):
        x0, y0, x1, y1 = m.box or (0, 0, m.width, m.height)
        box = [(3 * x0 + x1) / 4, (3 * y0 + y1) / 4, (x0 + 3 * x1) / 4, (y0 + 3 * y1) / 4]
        labels, keypoints = torch.tensor([0]), torch.full((1, 17, 3), torch.nan)
        found = Instances(m.height, m.width, self.categories, labels, score[None], torch.tensor([box]),
                          ("middle",), (None,), keypoints, m.image_id, m.file_name)
        return ImageResult(found)

@hookimpl
def mtvit_task(): return Middle
"""
COMMAND = """
import click
from mtvit_core.errors import DataError
from mtvit_core.plugins.hookspecs import hookimpl

@click.command("measure")
def measure():
    "Measure something."
    raise DataError("file x: torn; fix it.")

@hookimpl
def mtvit_commands(): return [measure]
"""
CATEGORIES = Categories((Category(7, "person", COCO_PERSON), Category(9, "cup")))


def run(*arguments: str | Path) -> Result:
    """Run ``mtvit`` in this process; what is not meant to be raised is raised."""
    return CliRunner(catch_exceptions=False).invoke(main, [str(a) for a in arguments], prog_name="mtvit")


def refusal(*arguments: str | Path) -> str:
    """Run a command that must end with exit code 2 and one line, and return the line."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line
