"""Check that wrong settings are refused."""

from typing import Any

from mtvit_core.config import validate
from mtvit_core.errors import ConfigError
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case


def config_errors(case: Case) -> None:
    """An unknown setting and a value of a wrong type are refused with one line that names them."""
    config, where = case.cls.Config, f"tasks.{case.cls.name}"
    unknown = "no_such_setting"
    message = _refusal(config, {**case.settings, unknown: 1}, where)
    if message is None:
        raise Breach(
            f"{config.__name__} took the unknown setting {unknown!r}",
            "keep `extra` of mtvit_core.TaskConfig at 'forbid', or a misspelt setting does nothing",
        )
    for name in config.model_fields:
        message = _refusal(config, {**case.settings, name: object()}, where)
        if message is None:
            raise Breach(
                f"{config.__name__}.{name} takes a value of any type", "annotate the setting with its type"
            )
        if f"{where}.{name}" not in message or "\n" in message:
            raise Breach(
                f"a wrong value of {config.__name__}.{name} is refused with {message!r}",
                f"check settings by `Field` or a field validator, so that the line names {where}.{name}",
            )
    _check_frozen(case)


def _refusal(config: type[Any], settings: dict[str, Any], where: str) -> str | None:
    try:
        validate(config, settings, where)
    except ConfigError as error:
        return str(error)
    return None


def _check_frozen(case: Case) -> None:
    config = case.task.config
    if not config.model_config.get("frozen"):
        raise Breach(
            f"{type(config).__name__} can be changed after loading",
            "keep `frozen` of mtvit_core.TaskConfig, so that a checkpoint holds the settings that were used",
        )
