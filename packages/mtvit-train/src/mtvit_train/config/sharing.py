"""Settings of gates that are learned."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat


class SharingConfig(BaseModel):
    """``[sharing]``: how gates of a ``branched:`` backbone are learned; read where ``gates`` is empty.

    Attributes:
        estimator: ``straight-through``: gates are 0 or 1. ``gumbel``: they are drawn between, ever nearer to
            0 and 1.
        budget: Most parameters of the backbone, as a factor on those of the plain one; 0: no limit.
        budget_weight: Factor on the loss of what is above the budget, relative to the budget.
        warmup: Share of the updates, the first ones, in which gates are random, so that copies part.
        noise: Deviation of what is added to own copies at the start, relative to that of their weights.
        freeze_at: Share of the updates after which gates stay as they are, within the budget.
        score_lr: Rate of the scores, as a factor on ``train.lr``; they never decay.
        temperature: Of ``gumbel``, after the warm-up and at the freeze; it falls geometrically.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    estimator: Literal["straight-through", "gumbel"] = "straight-through"
    budget: float = Field(0.0, ge=0)
    budget_weight: float = Field(1.0, ge=0)
    warmup: float = Field(0.05, ge=0, le=1)
    noise: float = Field(0.0, ge=0)
    freeze_at: float = Field(0.75, gt=0, le=1)
    score_lr: float = Field(10.0, gt=0)
    temperature: tuple[PositiveFloat, PositiveFloat] = (5.0, 0.1)
