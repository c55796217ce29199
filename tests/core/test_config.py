"""Settings: TOML files, ``--set`` values, and what is said of wrong ones."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mtvit_core.config import apply_set, read_toml, validate
from mtvit_core.errors import ConfigError


class Optimiser(BaseModel):
    """An inner table."""

    model_config = ConfigDict(extra="forbid")

    rate: float = Field(1e-3, gt=0)
    kind: Literal["adamw", "sgd"] = "adamw"


class Run(BaseModel):
    """An outer table with a rule that binds two settings."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(10, ge=1)
    warmup: int = 0
    optimiser: Optimiser = Optimiser()
    named: dict[str, Optimiser] = {}

    @model_validator(mode="after")
    def _check(self) -> "Run":
        if self.warmup > self.steps:
            raise ValueError(f"warmup is {self.warmup}, more than steps, {self.steps}; lower it")
        return self


class Demanding(BaseModel):
    """A table with a setting that must be given."""

    size: int
    kinds: tuple[str, ...] = ()


def complaint(settings: Any, model: type[BaseModel] = Run, where: str = "") -> str:
    """Return the message that wrong settings cause."""
    with pytest.raises(ConfigError) as error:
        validate(model, settings, where)
    return str(error.value)


def test_read_toml(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("data = 'é'\n[train]\nlr = 3e-4\n", encoding="utf-8")
    assert read_toml(file) == {"data": "é", "train": {"lr": 3e-4}}


def test_missing_toml(tmp_path: Path) -> None:
    for path in (tmp_path / "no.toml", tmp_path):
        with pytest.raises(ConfigError) as error:
            read_toml(path)
        assert str(error.value) == f"config {path}: no such file; check the path."


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"a = 1\nb = \n", "Invalid value (at line 2, column 5)"),
        (b"a = '\xff'", "'utf-8' codec can't decode byte 0xff in position 5: invalid start byte"),
    ],
)
def test_broken_toml(tmp_path: Path, content: bytes, cause: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_toml(file)
    assert str(error.value) == f"config {file}: not valid TOML: {cause}."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("3", 3),
        ("true", True),
        ("'3'", "3"),
        ("[1, 2]", [1, 2]),
        ("vit_tiny", "vit_tiny"),
        ("det,seg", "det,seg"),
        ("", ""),
        ("a=b", "a=b"),
        (" 3 ", 3),
        ("{x = 1}", {"x": 1}),
    ],
)
def test_set_takes_toml_values_and_text(text: str, value: object) -> None:
    assert apply_set({}, [f"a.b={text}"]) == {"a": {"b": value}}


def test_set_leaves_what_it_was_given_alone() -> None:
    settings = {"train": {"lr": 1.0, "steps": 5}, "data": "x"}
    changed = apply_set(settings, ["train.lr=2", "tasks.det.queries=7", "train.lr=3", "data=y"])
    assert changed == {"train": {"lr": 3, "steps": 5}, "data": "y", "tasks": {"det": {"queries": 7}}}
    assert settings == {"train": {"lr": 1.0, "steps": 5}, "data": "x"}


@pytest.mark.parametrize("assignment", ["train.lr", "=3", ".lr=3", "train..lr=3", "train.=3"])
def test_set_without_a_path_or_value(assignment: str) -> None:
    with pytest.raises(ConfigError) as error:
        apply_set({}, [assignment])
    assert str(error.value) == (
        f"--set {assignment!r}: not an assignment; write a.b=value, as in train.lr=1e-3."
    )


def test_set_below_a_value() -> None:
    with pytest.raises(ConfigError) as error:
        apply_set({"train": {"lr": 1.0}}, ["train.lr.peak=2"])
    assert str(error.value) == (
        "--set 'train.lr.peak=2': lr is a value, not a table; nothing can be set below it."
    )


def test_valid_settings() -> None:
    run = validate(Run, {"steps": 3, "optimiser": {"kind": "sgd"}})
    assert (run.steps, run.optimiser.kind, run.optimiser.rate) == (3, "sgd", 1e-3)


def test_unknown_setting() -> None:
    assert complaint({"step": 3}) == (
        "config: step is not a setting. Did you mean 'steps'? "
        "Settings of the top level: named, optimiser, steps, warmup."
    )
    assert complaint({"optimiser": {"zzz": 3}}, where="tasks.det") == (
        "config: tasks.det.optimiser.zzz is not a setting. Settings of tasks.det.optimiser: kind, rate."
    )
    assert complaint({"named": {"x": {"zzz": 3}}}) == "config: named.x.zzz is not a setting."


def test_wrong_value() -> None:
    assert complaint({"optimiser": {"rate": "fast"}}) == (
        "config: optimiser.rate is 'fast': input should be a valid number, unable to parse string as a "
        "number."
    )
    assert complaint({"optimiser": {"kind": "adam"}}) == (
        "config: optimiser.kind is 'adam': input should be 'adamw' or 'sgd'."
    )
    assert complaint({"steps": 0, "optimiser": {"rate": -1}, "x": 2}) == (
        "config: steps is 0: input should be greater than or equal to 1. (2 more)"
    )
    assert (
        complaint({"size": 1, "kinds": "sgd"}, Demanding)
        == "config: kinds is 'sgd'; give a list, as [\"sgd\"]."
    )
    assert complaint({"optimiser": 3}).startswith(
        "config: optimiser is 3: input should be a valid dictionary"
    )


def test_settings_that_do_not_go_together() -> None:
    assert complaint({"steps": 3, "warmup": 5}) == (
        "config: settings: warmup is 5, more than steps, 3; lower it."
    )
    assert complaint({"steps": 3, "warmup": 5}, where="tasks.det") == (
        "config: tasks.det: warmup is 5, more than steps, 3; lower it."
    )


def test_missing_setting() -> None:
    assert (
        complaint({}, Demanding, "tasks.depth") == "config: tasks.depth.size is missing; it has no default."
    )
