"""Settings: TOML tables and ``--set`` values become pydantic models, errors name the path."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mtvit_core.errors import ConfigError, did_you_mean

M = TypeVar("M", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or not TOML; the message gives line and column.
    """
    if not path.is_file():
        raise ConfigError(f"config {path}: no such file; check the path.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigError(f"config {path}: not valid TOML: {cause}.") from None


def apply_set(settings: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return the settings with ``a.b=value`` assignments applied.

    Args:
        settings: Nested tables; left as they are.
        assignments: Each a dotted path, ``=``, and a TOML value; a value that is not TOML is taken as text.

    Raises:
        ConfigError: an assignment has no ``=``, or its path runs through a value that is not a table.
    """
    result = _copied(settings)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(
                f"--set {assignment!r}: not an assignment; write a.b=value, as in train.lr=1e-3."
            )
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(
                    f"--set {assignment!r}: {key} is a value, not a table; nothing can be set below it."
                )
        table[keys[-1]] = _value(text.strip())
    return result


def _copied(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in settings.items()}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """Say on one line what is wrong with settings: the path and, for unknown keys, the nearest known one."""
    first = error.errors(include_url=False)[0]
    keys = [str(key) for key in first["loc"]]
    path = ".".join([*([where] if where else []), *keys])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = sorted(_fields(model, keys[:-1]))
        allowed = (
            f" Settings of {path.rpartition('.')[0] or 'the top level'}: {', '.join(known)}." if known else ""
        )
        return f"config: {path} is not a setting.{did_you_mean(keys[-1], known)}{allowed}{more}"
    if first["type"] == "missing":
        return f"config: {path} is missing; it has no default.{more}"
    if first["type"] == "value_error":  # the words of a validator, which say what was found
        return f"config: {path or 'settings'}: {first['ctx']['error']}.{more}"
    if first["type"] in ("tuple_type", "list_type"):
        value = first["input"]
        example = f", as [{json.dumps(value)}]" if isinstance(value, str | int | float) else ""
        return f"config: {path} is {value!r}; give a list{example}.{more}"
    return f"config: {path} is {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}.{more}"


def _fields(model: type[BaseModel], path: list[str]) -> Iterable[str]:
    for key in path:
        field = model.model_fields.get(key)
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        model = inner
    return model.model_fields


def validate(model: type[M], settings: Mapping[str, Any], where: str = "") -> M:
    """Turn tables into a settings model.

    Raises:
        ConfigError: a key is unknown or a value does not fit.
    """
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, model, where)) from None
