"""What a run records beside ``metrics.jsonl``."""

from pydantic import BaseModel, ConfigDict, Field


class RecordsConfig(BaseModel):
    """The config table ``[records]``.

    Attributes:
        tensorboard: Write losses, pace and metrics for TensorBoard too, below ``tensorboard/`` in the folder.
        wandb: Send them to Weights & Biases too.
        wandb_project: The project there.
        min_score: Results below it are left out of pictures, confusion matrices and counts of mistakes.
        worst: Pictures of the worst validation images, per task.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensorboard: bool = False
    wandb: bool = False
    wandb_project: str = Field("mtvit", min_length=1)
    min_score: float = Field(0.3, ge=0, le=1)
    worst: int = Field(4, ge=0)
