"""The entry point ``nanovit``: the family is imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.backbones.family import BackboneFamily


@hookimpl
def mtvit_backbones() -> "list[type[BackboneFamily]]":
    """Return the family."""
    from mtvit_nanovit.family import NanoFamily

    return [NanoFamily]
