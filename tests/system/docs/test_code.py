"""Code that the docs show is that of the sources, and runs."""

import ast
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.plugins import dataset_reader, hookspecs, loss_weighting, sample_transform
from mtvit_core.tasks import task
from support.commands.doc_pages import DOCS, rows, sections, text_of

EXAMPLE = DOCS / "examples" / "mtvit-presence"
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def test_the_page_quotes_the_whole_example() -> None:
    pattern = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    quoted = dict(pattern.findall(text_of("write-a-plugin.md")))
    files = [path for kind in ("*.py", "*.toml") for path in EXAMPLE.rglob(kind)]
    assert quoted == {str(p.relative_to(EXAMPLE)): p.read_text(encoding="utf-8") for p in files}


def signatures(source: str) -> dict[str, str]:
    """Arguments and result of every function of a source, by name, as text."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {
        f.name: f"({ast.unparse(f.args)}) -> {ast.unparse(f.returns)}" for f in found if f.returns is not None
    }


def stubs(title: str) -> dict[str, str]:
    """Signatures that a section of the page shows."""
    text = sections(text_of("write-a-plugin.md"))[title]
    return signatures("\n".join(re.findall(r'^def (?:(?!""").)+?: \.\.\.$', text, re.MULTILINE | re.DOTALL)))


def test_signatures_of_hooks_are_as_shown() -> None:
    assert stubs("The hooks") == signatures(inspect.getsource(hookspecs))


def test_signatures_of_the_contract_are_as_shown() -> None:
    actual = signatures(inspect.getsource(task.Task))
    assert stubs("The whole contract") == {n: s for n, s in actual.items() if not n.startswith("_")}


def test_signatures_of_parts_are_as_shown() -> None:
    shown = stubs("Extend the trainer")
    for base in (dataset_reader.Reader, sample_transform.Transform, loss_weighting.Weighting):
        actual = signatures(inspect.getsource(base))
        own = {name: text for name, text in actual.items() if name != "__init__"}
        assert own
        assert {name: shown.pop(name) for name in own} == own
    assert shown == {}


@pytest.fixture
def first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the code of the pages finds: a model of three tasks, and an image."""
    monkeypatch.chdir(tmp_path)
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=TINY)
    model = mtvit_core.build(backbone, {"det": {"queries": 4}, "seg": {"queries": 4}, "pose": {"queries": 4}})
    with torch.no_grad():
        for name, bias in model.named_parameters():
            if name.endswith("score.bias"):
                bias.fill_(3.0)  # a fresh model is sure of nothing
    Path("runs/first").mkdir(parents=True)
    mtvit_core.save(model, "runs/first/model.safetensors")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8))
    Path("photos").mkdir()
    for path in ("street.jpg", "photos/street.jpg"):
        image.save(path)


def code_of(page: Path) -> list[str]:
    """Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("first_run")
def test_the_code_of_results_md_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks, known = [code for code in code_of(DOCS / "results.md") if "push_to_hub" not in code], {}
    assert len(blocks) == 3
    for code in blocks:
        exec(compile(code, "results.md", "exec"), known)
    assert re.search(r"^photos/street\.jpg [1-9]", capsys.readouterr().out, re.MULTILINE)
    assert len(known["people"]) <= len(known["rows"])
    assert set(known["people"].tasks) == {"pose"}


def test_the_code_of_supernets_md_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    backbone = create_backbone("elastic:vit_tiny_patch16_224", (64, 64), options={**TINY, "widths": [16, 24]})
    Path("runs/super").mkdir(parents=True)
    mtvit_core.save(mtvit_core.build(backbone, {"det": {"queries": 4}}), "runs/super/model.safetensors")
    (code,) = code_of(DOCS / "supernets.md")
    exec(compile(code, "supernets.md", "exec"), {})
    assert "networks, from 16: " in capsys.readouterr().out
    assert mtvit_core.load("smallest.safetensors").backbone.options["width"] == 16


def test_options_and_defaults_of_results_md() -> None:
    listed = {
        name.strip("`"): default.strip("`")
        for name, default, *_ in rows(sections(text_of("results.md"))["Predicting"])
    }
    assert listed == {name: str(value) for name, value in vars(mtvit_core.PredictOptions()).items()}


def test_the_json_of_results_md_is_what_a_result_says() -> None:
    (shown,) = re.findall(
        r"^```json\n(.*?)^```$", sections(text_of("results.md"))["Files"], re.MULTILINE | re.DOTALL
    )
    entry = json.loads(shown)
    at = mtvit_core.ImageMeta.whole(120, 160)
    dogs = mtvit_core.Categories((mtvit_core.Category(18, "dog"),))
    segment = mtvit_core.Segment(id=1, label=0, score=0.88, area=512, is_stuff=False)
    panoptic = mtvit_core.CategoryMap.panoptic(torch.ones(120, 160, dtype=torch.int64), [segment], dogs)
    result = replace(
        mtvit_core.ImageResult.empty(at, dogs),
        maps={"depth": mtvit_core.DenseMap(torch.zeros(1, 120, 160), ("depth",)), "seg-panoptic": panoptic},
        labels={"tags": mtvit_core.ImageLabels.of(torch.tensor([0.93]), dogs)},
    )
    actual = result.to_json()
    assert [name for name in actual if name not in entry] == []
    assert actual["labels"]["tags"][0].keys() == entry["labels"]["tags"][0].keys()
    for name, values in actual["maps"].items():
        assert entry["maps"][name] == {**values, "file": entry["maps"][name]["file"]}
