"""Attention by pattern: who may see whom when queries are beside the context.

    joint     A = softmax(q k^T / sqrt(d)) v over context and all joint groups
    isolated  A_context as if no group were there; per group, softmax(q_g [k_c, k_g]^T / sqrt(d)) [v_c, v_g]
    masked    as above, with forbidden query-to-patch pairs at -inf

Source of masked: Cheng et al. 2022, eq. 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

#: Most attention scores of one product that are worth holding in memory (128 MiB in bfloat16).
PLAIN_SCORES = 2**26


@dataclass(frozen=True)
class Span:
    """Where a group's tokens are in the sequence.

    Attributes:
        name: Name of the group.
        start: Index of its first token.
        stop: Index past its last token.
        visibility: Who sees it, see ``TokenGroup``.
    """

    name: str
    start: int
    stop: int
    visibility: Literal["isolated", "joint"]


@dataclass(frozen=True)
class Layout:
    """The order of tokens: prefix, patches, joint groups, isolated groups.

    Attributes:
        prefix: Number of prefix tokens R.
        context: Number of context tokens, prefix and patches.
        spans: The groups that have entered, joint ones first.
    """

    prefix: int
    context: int
    spans: tuple[Span, ...] = ()

    def enter(self, name: str, count: int, visibility: Literal["isolated", "joint"]) -> tuple["Layout", int]:
        """Add a group: a joint one behind the joint groups, an isolated one at the end.

        Returns:
            The new layout and the index at which the group's tokens are to be inserted.
        """
        start = self.joint_stop if visibility == "joint" else self.stop
        before = [s for s in self.spans if s.start < start]
        behind = [replace(s, start=s.start + count, stop=s.stop + count) for s in self.spans[len(before) :]]
        spans = (*before, Span(name, start, start + count, visibility), *behind)
        return Layout(self.prefix, self.context, spans), start

    def without_context(self) -> "Layout":
        """The groups alone."""
        shift = self.context
        spans = [replace(s, start=s.start - shift, stop=s.stop - shift) for s in self.spans]
        return Layout(0, 0, tuple(spans))

    @property
    def joint_stop(self) -> int:
        """Index past the last token that the context sees."""
        return max((span.stop for span in self.spans if span.visibility == "joint"), default=self.context)

    @property
    def stop(self) -> int:
        """Index past the last token."""
        return self.spans[-1].stop if self.spans else self.context


def attend(
    q: Float[Tensor, "B A rest d"],
    k: Float[Tensor, "B A S d"],
    v: Float[Tensor, "B A S d"],
    layout: Layout,
    masks: Mapping[str, Bool[Tensor, "B Q N"]],
) -> Float[Tensor, "B A rest d"]:
    """Attend within and between context and groups.

    Args:
        q: Queries per head, of all tokens or of the last ones in the sequence.
        k: Keys; those of groups are overwritten where no gradient is recorded.
        v: Values; the same.
        layout: Where each group stands.
        masks: Per masked group, the patches that each of its queries may see.

    Returns:
        The attention output of every token that asks.
    """
    shared, first = layout.joint_stop, k.shape[2] - q.shape[2]
    joint = [span for span in layout.spans if span.visibility == "joint"]
    parts = []
    if first < shared:
        mask = _mask(q, layout, shared, range(first, shared), joint, masks)
        asking = q[:, :, : shared - first]
        parts.append(_softmax_attention(asking, k[:, :, :shared], v[:, :, :shared], mask))
    for span in layout.spans:
        if span.visibility == "joint":
            continue
        asking = q[:, :, span.start - first : span.stop - first]
        keys, values = (_seen(part, layout.context, span) for part in (k, v))
        mask = _mask(q, layout, keys.shape[2], range(span.start, span.stop), [span], masks)
        parts.append(_softmax_attention(asking, keys, values, mask))
    return torch.cat(parts, 2) if len(parts) > 1 else parts[0]


def _seen(x: Float[Tensor, "B A S d"], context: int, span: Span) -> Float[Tensor, "B A seen d"]:
    """Keys or values of context and isolated group, the group right behind the context."""
    own, stop = x[:, :, span.start : span.stop], context + span.stop - span.start
    if span.start > context:
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return torch.cat([x[:, :, :context], own], 2)
        # What stood there belongs to groups that have attended; to copy the context takes a tenth of a block.
        x[:, :, context:stop] = own.clone()
    return x[:, :, :stop]


def _softmax_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Fused attention; for small bfloat16 problems on a CPU plain products, which are 1.5 times faster."""
    scores = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or mask is not None or scores > PLAIN_SCORES:
        return scaled_dot_product_attention(q, k, v, attn_mask=mask)
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)
    return torch.matmul(weights.to(v.dtype), v)


def _mask(
    q: Tensor, layout: Layout, keys: int, rows: range, spans: Sequence[Span], masks: Mapping[str, Tensor]
) -> Bool[Tensor, "B 1 rows keys"] | None:
    """Forbid query-to-patch pairs only; None where all is allowed, as fused kernels are fastest without."""
    masked = [span for span in spans if span.name in masks]
    if not masked:
        return None
    allowed = torch.ones(q.shape[0], 1, len(rows), keys, dtype=torch.bool, device=q.device)
    for span in masked:
        own = slice(span.start - rows.start, span.stop - rows.start)
        allowed[:, 0, own, layout.prefix : layout.context] = masks[span.name]
    return allowed
