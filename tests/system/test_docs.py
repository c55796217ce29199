"""Docs cannot lie: links lead somewhere, tables equal the settings, commands and messages are real."""

import ast
import inspect
import json
import re
import shlex
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

import mtvit_core
from mtvit_core.backbones import attention
from mtvit_core.cli import main
from mtvit_core.heads import proposals
from mtvit_core.losses import matching
from mtvit_core.model.backbone import create_backbone
from mtvit_core.plugins import dataset_reader, hookspecs, loss_weighting, registry, sample_transform
from mtvit_core.structures.image_files import MAX_PIXELS
from mtvit_core.tasks import task
from mtvit_train.cli.main import main as train_command
from mtvit_train.config.run import RunConfig, read_run, recipes
from mtvit_train.config.search import SearchTable
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.merging.table import DataTable
from mtvit_train.scenes.layout import LEAST_VISIBLE, TRIES
from mtvit_train.scenes.scene import CATEGORIES, LARGEST_SIZE, SMALLEST_SIZE, render_scene

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLE = DOCS / "examples" / "mtvit-presence"
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def names(pages: list[Path]) -> list[str]:
    """Paths for the names of tests."""
    return [str(page.relative_to(ROOT)) for page in pages]


def text_of(name: str) -> str:
    """A page below ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Text of every second-level section by its heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """Cells of all table rows of a text, without heads."""
    lines = text.splitlines()
    tables = [line for i, line in enumerate(lines) if line.startswith("|") and not _is_head(lines, i)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables]


def _is_head(lines: list[str], i: int) -> bool:
    return lines[i].startswith("|---") or (i + 1 < len(lines) and lines[i + 1].startswith("|---"))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


# Settings


def settings_tables() -> dict[str, type[BaseModel]]:
    """The model that each section of training.md lists."""
    inner = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    tables = {f"`[{name}]`": kind for name, kind in inner.items() if _is_table(kind)}
    tables["`[[data]]`"] = DataTable
    ours = {f"`[tasks.{name}]`": found.cls.Config for name, found in registry.installed_tasks().items()}
    return {"A run": RunConfig, **tables, **ours}


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def described() -> dict[str, dict[str, list[str]]]:
    """Cells of every setting of training.md, by section and setting."""
    found = sections(text_of("training.md"))
    tables = {title: text for title, text in found.items() if "| setting | default | meaning |" in text}
    return {title: {row[0].strip("`"): row[1:] for row in rows(text)} for title, text in tables.items()}


def test_every_table_of_settings_has_its_section() -> None:
    assert set(described()) == set(settings_tables())


@pytest.mark.parametrize(
    "title",
    [
        "A run",
        *(
            f"`[{t}]`"
            for t in (
                "model",
                "coco",
                "[data]",
                "scenes",
                "augment",
                "train",
                "records",
                "distill",
                "supernet",
            )
        ),
    ],
)
def test_every_setting_of_a_run_is_listed_with_its_default(title: str) -> None:
    check_table(settings_tables()[title], described()[title])


@pytest.mark.parametrize("name", ["det", "seg", "pose", "semantic", "depth", "normals", "edges", "cls"])
def test_every_setting_of_a_task_is_listed_with_its_default(name: str) -> None:
    check_table(registry.installed_tasks()[name].cls.Config, described()[f"`[tasks.{name}]`"])


def test_every_setting_of_a_search_is_listed_with_its_default() -> None:
    listed = rows(sections(text_of("search.md"))["Settings"])
    check_table(SearchTable, {name.strip("`"): rest for name, *rest in listed})


def check_table(model: type[BaseModel], table: dict[str, list[str]]) -> None:
    """Hold a table to a settings model: the same names in the same order, defaults, every allowed word."""
    fields = {n: f for n, f in model.model_fields.items() if not _is_table(f.annotation)}
    if model is RunConfig:
        del fields["tasks"]  # tables of their own
    assert list(table) == list(fields)
    required = {name for name, field in fields.items() if field.is_required()}
    assert {name for name, (default, _) in table.items() if default == "*required*"} == required
    defaults = model(**dict.fromkeys(required, "given")).model_dump(mode="json")
    for name, (default, meaning) in table.items():
        if name in required:
            continue
        written = None if default == "*unset*" else tomllib.loads(f"x = {default.strip('`')}")["x"]
        assert (name, written) == (name, defaults[name])
        missing = [word for word in words(fields[name].annotation) if f"`{word}`" not in meaning]
        assert (name, missing) == (name, [])


def words(kind: Any) -> list[str]:
    """The words that a type allows."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word for inner in get_args(kind) for word in words(inner)]


def test_every_recipe_is_listed_and_fits() -> None:
    listed = {row[0].strip("`") for row in rows(sections(text_of("training.md"))["Recipes"])}
    assert listed == set(recipes())
    for name in listed:
        assert read_run(name, {}, ()).out.startswith("runs/")


# Commands


def commands() -> list[str]:
    """Every command of ours that some page shows."""
    pages = [re.sub(r" \\\n\s+", " ", page.read_text(encoding="utf-8")) for page in PAGES]
    found = [re.findall(r"^    (mtvit(?:-train)? .+)$", page, re.MULTILINE) for page in pages]
    return sorted({line for lines in found for line in lines})


@pytest.mark.parametrize("shown", commands())
def test_every_command_that_is_shown_exists(shown: str) -> None:
    line = shlex.split(shown, comments=True)
    command: click.Command = train_command if line[0] == "mtvit-train" else main.main
    arguments = line[1:]
    if isinstance(command, click.Group) and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    given = command.make_context(line[0], arguments).params
    if command is train_command:
        recipe = given["config"] if given["config"] in recipes() else None
        assert isinstance(read_run(recipe, {}, given["assignments"]), RunConfig)


def test_the_pages_show_commands() -> None:
    assert len(commands()) > 10


# Code


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


# Messages


@cache
def templates() -> tuple[str, ...]:
    """Every text of the sources, with ``…`` for what is filled in."""
    found = []
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                found.append(template(node))
    return tuple(found)


def test_every_message_that_is_listed_exists() -> None:
    listed = [row[0].strip("`") for row in rows(text_of("errors.md")) if row[0].startswith("`")]
    assert len(listed) > 100
    unknown = [message for message in listed if not any(message in template for template in templates())]
    assert not unknown


def raised(kinds: set[str]) -> list[str]:
    """Message of every such error that the sources raise, with ``…`` for what is filled in."""
    found = []
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds):
                continue
            if isinstance(node.args[0], ast.JoinedStr | ast.Constant):
                found.append(template(node.args[0]))
    return found


def template(text: ast.JoinedStr | ast.Constant) -> str:
    """A text of the sources, with ``…`` for what is filled in."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    parts = [value.value if isinstance(value, ast.Constant) else "…" for value in text.values]
    return re.sub("…+", "…", "".join(map(str, parts)))


def test_every_message_about_plugins_is_listed() -> None:
    listed = [row[0].strip("`") for row in rows(sections(text_of("errors.md"))["Plugins"])]
    messages = raised({"Fault", "PluginError"})
    assert len(messages) > 25
    assert [message for message in messages if not any(entry in message for entry in listed)] == []


# Figures


def test_figures_of_data_md() -> None:
    text = re.sub(r"\s+", " ", text_of("data.md"))
    assert f"at most {MAX_PIXELS} pixels" in text
    assert f"from {SMALLEST_SIZE} to {LARGEST_SIZE} pixels a side" in text
    assert f"less than {LEAST_VISIBLE} of its pixels" in text
    assert f"after {TRIES} tries" in text
    listed = [(int(id_), name) for id_, name in rows(sections(text_of("data.md"))["Scenes"]) if id_.isdigit()]
    assert listed == [(category["id"], category["name"]) for category in CATEGORIES]


def test_bytes_of_an_instance(coco_mini: Path) -> None:
    memory = sections(text_of("data.md"))["Memory"]
    for split, *figures in rows(memory):
        packed = read_coco(coco_mini, "train" if split == "train" else "val")
        each = (packed.bytes_per_instance, packed.mask_bytes.nbytes / packed.instances)
        measured = (len(packed), packed.instances, *each, packed.keypoints.nbytes / packed.instances)
        assert [int(figure) for figure in figures] == [round(value) for value in measured]
        decision = text_of("decisions/005-packed-annotations-and-label-availability.md")
        assert f"{round(packed.bytes_per_instance)} ({split})" in decision
        share = packed.sizes.min(1) / packed.sizes.max(1)
        assert round(100 * float(share.mean())) == 71  # decisions/004
        assert share.min() < 0.5 or split == "train"


def test_figures_of_decisions() -> None:
    pages = {page.name[:3]: re.sub(r"\s+", " ", page.read_text()) for page in DOCS.glob("decisions/0*.md")}
    assert f"{matching.FORBIDDEN:.0e}".replace("+0", "") in pages["001"]
    assert f"overlaps by more than {proposals.DUPLICATE_IOU} IoU" in pages["002"]
    assert f"its {proposals.POSITIVES} best-aligned patches" in pages["002"]
    assert (proposals.ANCHOR, attention.PLAIN_SCORES) == (1 / 4, 2**26)


@pytest.mark.slow
def test_counts_of_the_first_scenes() -> None:
    scenes = [render_scene(0, index, 64) for index in range(200)]
    kinds = np.concatenate([scene.category_ids for scene in scenes])
    sizes = [len(scene.category_ids) for scene in scenes]
    people = sum(1 in scene.category_ids for scene in scenes)
    expected = {
        "person, disc, square, triangle": [int((kinds == kind).sum()) for kind in (1, 2, 3, 4)],
        "star, ring, cross, heart": [int((kinds == kind).sum()) for kind in (5, 6, 7, 8)],
        "images with 1, 2, 3, 4, 5 objects": [sizes.count(n) for n in (1, 2, 3, 4, 5)],
        "images with people": [people],
    }
    found = {row[0]: row[1] for row in rows(sections(text_of("data.md"))["Scenes"]) if len(row) == 2}
    assert {key: list(map(int, found[key].split(", "))) for key in expected} == expected
    assert f"hold {len(kinds)} objects" in text_of("data.md")
