"""The class that authors of families of backbones subclass."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from mtvit_core.backbones.interface import Option
from mtvit_core.testing.backbone_case import BackboneCase
from mtvit_core.testing.backbone_checks import form, groups, running, weights
from mtvit_core.testing.base_suite import BaseSuite


class BackboneSuite(BaseSuite):
    """All checks of the contract of backbones, as tests of pytest.

    A subclass whose name begins with ``Test`` is collected:

        class TestSmall(BackboneSuite):
            backbone = "tiny:small"

    Attributes:
        backbone: Name of a backbone of an installed family.
        options: Its options; few narrow blocks, two at least, keep the tests fast.
        canvas: Rows and columns that it is built for.
        exceptions: See ``BaseSuite``.
    """

    backbone: ClassVar[str]
    options: ClassVar[Mapping[str, Option]] = {}
    canvas: ClassVar[tuple[int, int]] = (64, 96)

    def hold(self, check: Callable[[BackboneCase], None]) -> None:
        """Run one check; fail with its contract, what was found and how to fix it."""
        case = BackboneCase(self.backbone, self.options, self.canvas)
        self.run_check(f"backbone {self.backbone!r}", case, check)

    def test_declaration(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.declaration``."""
        self.hold(form.declaration)

    def test_options(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.options``."""
        self.hold(form.options)

    def test_sizes(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.sizes``."""
        self.hold(form.sizes)

    def test_batches(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.batches``."""
        self.hold(form.batches)

    def test_unread_patches(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.unread_patches``."""
        self.hold(form.unread_patches)

    def test_inner_patches(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.form.inner_patches``."""
        self.hold(form.inner_patches)

    def test_isolation(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.groups.isolation``."""
        self.hold(groups.isolation)

    def test_joint_groups(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.groups.joint_groups``."""
        self.hold(groups.joint_groups)

    def test_entry(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.groups.entry``."""
        self.hold(groups.entry)

    def test_positions(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.groups.positions``."""
        self.hold(groups.positions)

    def test_masks(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.groups.masks``."""
        self.hold(groups.masks)

    def test_depths(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.weights.depths``."""
        self.hold(weights.depths)

    def test_reach(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.weights.reach``."""
        self.hold(weights.reach)

    def test_state_dict(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.weights.state_dict``."""
        self.hold(weights.state_dict)

    def test_pretrained(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.weights.pretrained``."""
        self.hold(weights.pretrained)

    def test_checkpointing(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.running.checkpointing``."""
        self.hold(running.checkpointing)

    def test_precision(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.running.precision``."""
        self.hold(running.precision)

    def test_sharding(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.running.sharding``."""
        self.hold(running.sharding)

    def test_compiling(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.running.compiling``."""
        self.hold(running.compiling)

    def test_exporting(self) -> None:
        """See ``mtvit_core.testing.backbone_checks.running.exporting``."""
        self.hold(running.exporting)
