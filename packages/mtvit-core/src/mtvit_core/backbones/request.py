"""What a pass through a backbone is asked for beside its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtvit_core.backbones.tokens import QueryMasker, TokenGroup


@dataclass(frozen=True)
class Request:
    """The other arguments of ``Backbone.forward``, and whom the pass answers.

    Attributes:
        groups: Token groups; each joins before its block ``enter``.
        maskers: Heads that supply attention masks, by group name.
        patches: Whether anybody reads the context at the output.
        proposals: Whether anybody reads what is proposed at patches that become no query.
        depths: Depths below the output whose patches are wanted.
        tasks: Names of the tasks that read what the pass returns.
    """

    groups: Sequence[TokenGroup]
    maskers: Mapping[str, QueryMasker]
    patches: bool
    proposals: bool
    depths: Sequence[int] = ()
    tasks: tuple[str, ...] = ()
