"""Settings of a supernet's training."""

from pydantic import BaseModel, ConfigDict, Field


class SupernetConfig(BaseModel):
    """``[supernet]``, read where the backbone is elastic, as ``elastic:vit_small_patch16_224``.

    Attributes:
        drawn: Candidates that an update draws, beside the smallest network and the largest.
        distill: Factor on what they learn from the largest network's predictions; 0: from labels alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    drawn: int = Field(2, ge=0)
    distill: float = Field(1.0, ge=0)
