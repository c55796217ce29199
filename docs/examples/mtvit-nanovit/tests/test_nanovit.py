"""The family keeps the contract of mtvit."""

from typing import ClassVar

from mtvit_core.testing import BackboneSuite


class TestNanoViT(BackboneSuite):
    """Every check of the kit."""

    backbone = "nanovit:tiny"
    options: ClassVar = {"width": 48, "depth": 3}
