"""What docs/write-a-plugin.md says of the kit is what the kit does."""

import inspect
import re
from pathlib import Path
from types import ModuleType

import torch

from mtvit_core.testing import BackboneSuite, TaskSuite, backbone_suite, suite
from mtvit_core.testing.base_suite import BaseSuite
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case
from mtvit_core.testing.example import draw_examples
from support.broken_tasks import Summed

PAGE = Path(__file__).resolve().parents[3] / "docs" / "write-a-plugin.md"


def section() -> str:
    """The part of the page about the kit."""
    return PAGE.read_text(encoding="utf-8").split("\n## Test it\n")[1].split("\n## ")[0]


def contracts(module: ModuleType = suite, cls: type[BaseSuite] = TaskSuite) -> dict[str, str]:
    """What each check holds a task or a backbone to, by the name of the check."""
    modules = [value for value in vars(module).values() if inspect.ismodule(value) and value is not torch]
    names = [name.removeprefix("test_") for name in vars(cls) if name.startswith("test_")]
    return {
        name: " ".join(str(inspect.getdoc(vars(checks)[name])).split())
        for name in names
        for checks in modules
        if name in vars(checks) and checks.__name__.startswith("mtvit_core.testing.")
    }


def test_the_page_lists_every_check_with_its_contract() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]{40,}) \|$", section(), re.MULTILINE))
    assert rows == contracts()
    assert len(rows) == 20


def test_the_page_lists_every_check_of_backbones_with_its_contract() -> None:
    family = PAGE.read_text(encoding="utf-8").split("\n## A backbone family\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]{40,}) \|$", family, re.MULTILINE))
    assert rows == contracts(backbone_suite, BackboneSuite)
    assert f"`canvas`, {BackboneSuite.canvas} by default" in family


def test_the_page_lists_every_attribute_with_its_default() -> None:
    rows = dict(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.+?) \| .+ \|$", section(), re.MULTILINE))
    shown = {name: cell for names, cell in rows.items() for name in re.findall(r"\w+", names)}
    annotated = [*inspect.get_annotations(TaskSuite), *inspect.get_annotations(BaseSuite)]
    attributes = {name: getattr(TaskSuite, name) for name in annotated if name != "task"}
    assert set(shown) == set(attributes)
    assert shown["categories"] == ", ".join(category.name for category in TaskSuite.categories)
    assert shown["steps"] == f"{TaskSuite.steps}, {TaskSuite.lr}"
    for name in ("settings", "best", "exceptions"):
        assert shown[name].strip("`").replace('"', "'") == str(attributes[name])


def test_the_message_on_the_page_is_one_of_the_kit() -> None:
    case = Case(Summed, {"queries": 8}, TaskSuite.categories, draw_examples, {}, 1, 1e-3)
    check = suite.batches.loss_scale
    try:
        check(case)
    except Breach as breach:
        message = breach.explain("task 'presence'", "loss_scale", contracts()["loss_scale"])
    shown = re.findall(r"^    (task 'presence' fails .+(?:\n      .+){3})$", section(), re.MULTILINE)
    (quoted,) = (re.sub(r"^    ", "", text, flags=re.MULTILINE) for text in shown)
    assert re.sub(r"\d+\.\d+", "N", quoted) == re.sub(r"\d+\.\d+", "N", message)
