"""What the entry point ``train`` registers: the command ``mtvit evaluate``, a reader, and loss weightings."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from mtvit_core.plugins.dataset_reader import Reader
    from mtvit_core.plugins.loss_weighting import Weighting


@hookimpl
def mtvit_commands() -> "list[click.Command]":
    """Return the commands this package adds to ``mtvit``."""
    from mtvit_train.cli.evaluate import evaluate_command

    return [evaluate_command]


@hookimpl
def mtvit_readers() -> "list[type[Reader[Any]]]":
    """Return what ``reader`` may name beside the forms of known tools."""
    from mtvit_train.data.formats.unlabelled import Unlabelled

    return [Unlabelled]


@hookimpl
def mtvit_weightings() -> "list[type[Weighting[Any]]]":
    """Return what ``train.weighting`` may name beside ``fixed``."""
    from mtvit_train.weighting.aligned_mtl import AlignedMTL
    from mtvit_train.weighting.cagrad import CAGrad
    from mtvit_train.weighting.dwa import DWA
    from mtvit_train.weighting.famo import FAMO
    from mtvit_train.weighting.gradnorm import GradNorm
    from mtvit_train.weighting.imtl_l import IMTLL
    from mtvit_train.weighting.nash_mtl import NashMTL
    from mtvit_train.weighting.pcgrad import PCGrad
    from mtvit_train.weighting.uncertainty import Uncertainty

    return [GradNorm, Uncertainty, DWA, PCGrad, CAGrad, IMTLL, NashMTL, FAMO, AlignedMTL]
