"""Knowledge tokens: what a frozen teacher wants to have been told, given to its students (Xu et al. 2022).

    teacher  t* = argmin_t loss(T([t; X]), truth),  the teacher T as it is
    student  loss(S([t*; X]), truth),  t* as it is

X are the context tokens. A task has knowledge tokens where one of its token groups has this source.
"""

import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Context, Entry, QuerySource


class KnowledgeTokens(QuerySource):
    """Tokens that are given, not trained with the model: a buffer, which travels with its weights."""

    weight: Tensor

    def __init__(self, count: int, width: int) -> None:
        """Make tokens of zeros, to be filled in.

        Args:
            count: Number of tokens Q.
            width: Token width D.
        """
        super().__init__()
        self.register_buffer("weight", torch.zeros(count, width))

    def forward(self, context: Context) -> Entry:
        """Repeat the tokens for every image of the batch."""
        return Entry(self.weight.expand(context.patches.shape[0], -1, -1))
