"""Tables of settings in the docs are the settings: names, order, defaults and words; recipes too."""

import tomllib
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from mtvit_core.plugins import registry
from mtvit_train.config.run import RunConfig, read_run, recipes
from mtvit_train.config.search import SearchTable
from mtvit_train.data.merging.table import DataTable
from support.commands.doc_pages import rows, sections, text_of


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
