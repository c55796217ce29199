"""What core itself brings by the hooks of plugins: the family of plain ViTs."""

from typing import TYPE_CHECKING

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.backbones.family import BackboneFamily


@hookimpl
def mtvit_backbones() -> "list[type[BackboneFamily]]":
    """Return the plain ViTs of timm."""
    from mtvit_core.backbones.plain.family import PlainFamily

    return [PlainFamily]
