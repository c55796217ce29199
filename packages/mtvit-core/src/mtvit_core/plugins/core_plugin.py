"""What core itself brings by the hooks of plugins: families of backbones."""

from typing import TYPE_CHECKING

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.backbones.family import BackboneFamily


@hookimpl
def mtvit_backbones() -> "list[type[BackboneFamily]]":
    """Return plain ViTs, two branches, ViT-MVT, supernets, and backbones whose tasks may own layers."""
    from mtvit_core.backbones.branched.family import BranchedFamily
    from mtvit_core.backbones.crossvit.family import CrossFamily
    from mtvit_core.backbones.elastic.family import ElasticFamily
    from mtvit_core.backbones.mvt.family import MvtFamily
    from mtvit_core.backbones.plain.family import PlainFamily

    return [PlainFamily, CrossFamily, MvtFamily, ElasticFamily, BranchedFamily]
