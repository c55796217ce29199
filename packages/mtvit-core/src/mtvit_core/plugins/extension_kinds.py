"""The kinds of extensions that plugins bring to the trainer, and what each must look like."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from mtvit_core.plugins.validation import Fault, check_api, check_config, check_name

Kind = Literal["reader", "transform", "weighting"]


@dataclass(frozen=True)
class ExtensionKind:
    """One kind.

    Attributes:
        name: Its word.
        hook: The hook that returns a list of such classes.
        base: Module and name of their base class.
    """

    name: Kind
    hook: str
    base: tuple[str, str]


KINDS: dict[Kind, ExtensionKind] = {
    "reader": ExtensionKind("reader", "mtvit_readers", ("mtvit_core.plugins.dataset_reader", "Reader")),
    "transform": ExtensionKind(
        "transform", "mtvit_transforms", ("mtvit_core.plugins.sample_transform", "Transform")
    ),
    "weighting": ExtensionKind(
        "weighting", "mtvit_weightings", ("mtvit_core.plugins.loss_weighting", "Weighting")
    ),
}


def check_extensions(classes: Any, kind: ExtensionKind) -> list[type[Any]]:
    """Check what a hook for extensions returned.

    Raises:
        Fault: it is no list of such classes, or one breaks the contract.
    """
    module, name = kind.base
    base = getattr(import_module(module), name)
    if not isinstance(classes, list) or not all(isinstance(c, type) and issubclass(c, base) for c in classes):
        raise Fault(
            f"{kind.hook} returned {classes!r}, not a list of subclasses of {module}.{name}",
            f"Return a list of classes, for instance `return [My{name}]`.",
        )
    for cls in classes:
        check_api(cls)
        missing = [part for part in ("name", "Config") if not hasattr(cls, part)]
        missing += sorted(cls.__abstractmethods__)
        if missing:
            raise Fault(
                f"{cls.__name__} lacks {', '.join(missing)}", f"Define what {module}.{name} asks for."
            )
        check_name(cls)
        check_config(cls)
    return classes
