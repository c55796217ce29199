"""What frozen blocks say of images, kept in files."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CacheConfig(BaseModel):
    """The config table ``[cache]``: frozen blocks run once per image and view.

    Attributes:
        views: Views of each training image, drawn from the seed; epoch e shows view e mod ``views``. 0: no
            cache, each epoch draws a new view.
        dtype: Type of the tokens in the files; ``bf16`` where they are too large for ``fp16``.
        folder: Where the files lie, which runs share; empty for ``~/.cache/mtvit/tokens``.
        max_gb: Most that the folder may hold; what was not used for longest makes room.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: int = Field(0, ge=0)
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    folder: str = ""
    max_gb: float = Field(20.0, gt=0)
