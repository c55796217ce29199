"""Patches without objects leave the blocks early; readers still see all of them.

    score    s_n = mean of w LN(x_m) + c over 3 x 3 patches m around n, at the input of block ``after``
    blocks   from there on run on prefix, queries, and the share ``keep`` of patches with the best scores
    map      a patch that has left keeps its last value
    training x_n (1 + g_n - stop(g_n)), g_n = sigmoid(s_n): values stay, and the score learns from every task

Nothing but the context decides who leaves, so what is isolated stays so. The number of patches that stay is
fixed, for exported graphs. Sources: patches that leave and stay in the map, Liu et al. 2024 (SViT).
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.token_pass import RunBlock
from mtvit_core.backbones.tokens import take_rows


class FewerTokens(nn.Module):
    """Says which patches stay.

    Attributes:
        after: Blocks that all patches pass.
        keep: Share of patches that pass the others.
        score: The score of a normalised patch; ``mtvit_core.with_fewer_tokens`` fits it to what is found.
    """

    def __init__(self, width: int, after: int, keep: float) -> None:
        """Draw the score.

        Args:
            width: Token width D.
            after: Blocks that all patches pass.
            keep: Share of patches that pass the others.
        """
        super().__init__()
        self.after, self.keep = after, keep
        self.score = nn.Linear(width, 1)

    def scores(self, patches: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N"]:
        """Return how much each patch should stay.

        Args:
            patches: Patch tokens at the input of block ``after``.
            grid: Rows and columns of them.
        """
        normed = F.layer_norm(patches, patches.shape[-1:])
        each = self.score(normed.to(self.score.weight.dtype)).transpose(1, 2).unflatten(2, grid)
        return F.avg_pool2d(each, 3, stride=1, padding=1, count_include_pad=False).flatten(1)

    def around(self, run: RunBlock, grid: tuple[int, int]) -> RunBlock:
        """Return what runs the blocks of one pass, those from ``after`` on with fewer patches.

        Args:
            run: Runs a block with all of them.
            grid: Rows and columns of patches.
        """
        leaving: list[_Leaving] = []

        def run_fewer(
            i: int, tokens: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int
        ) -> Tensor:
            if i < self.after:
                return run(i, tokens, layout, masks, first)
            if i == self.after:
                patches = tokens[:, layout.prefix : layout.context]
                scores = self.scores(patches, grid)
                leaving.append(_Leaving(scores, max(1, round(self.keep * patches.shape[1]))))
                if self.training and torch.is_grad_enabled():
                    gate = scores.sigmoid()[..., None]
                    patches = patches * (1 + (gate - gate.detach()))
                    tokens = torch.cat([tokens[:, : layout.prefix], patches, tokens[:, layout.context :]], 1)
            return leaving[0].run(run, i, tokens, layout, masks, first)

        return run_fewer


class _Leaving:
    """Who stays in one pass."""

    def __init__(self, scores: Float[Tensor, "B N"], count: int) -> None:
        self.order: Int64[Tensor, "B N"] = _best_first(scores.detach())
        self.back: Int64[Tensor, "B N"] = self.order.argsort(dim=1)
        self.count = count

    def run(
        self, run: RunBlock, i: int, tokens: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int
    ) -> Float[Tensor, "B rest D"]:
        """Run a block on those that stay, and put them back among the others."""
        prefix, gone = layout.prefix, layout.context - layout.prefix - self.count
        ordered = take_rows(tokens[:, prefix : layout.context], self.order)
        seen = torch.cat([tokens[:, :prefix], ordered[:, : self.count], tokens[:, layout.context :]], 1)
        spans = [replace(span, start=span.start - gone, stop=span.stop - gone) for span in layout.spans]
        short = Layout(prefix, layout.context - gone, tuple(spans))
        told = run(i, seen, short, self._of(masks), max(0, first - gone))
        if first:
            return told
        patches = torch.cat([told[:, prefix : short.context], ordered[:, self.count :]], 1)
        return torch.cat([told[:, :prefix], take_rows(patches, self.back), told[:, short.context :]], 1)

    def _of(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Masks for those that stay."""
        stay = self.order[:, None, : self.count]
        return {name: mask.gather(2, stay.expand(-1, mask.shape[1], -1)) for name, mask in masks.items()}


def _best_first(scores: Float[Tensor, "B N"]) -> Int64[Tensor, "B N"]:
    """Places by falling score; of equal ones the earlier first."""
    if torch.compiler.is_compiling():  # ONNX has no stable sort, but its TopK keeps the order of equal ones
        return scores.topk(scores.shape[1], dim=1).indices
    return scores.sort(dim=1, descending=True, stable=True).indices
