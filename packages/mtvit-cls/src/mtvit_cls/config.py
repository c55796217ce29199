"""Settings of the classification task."""

from typing import Literal

from pydantic import Field, model_validator

from mtvit_core.tasks.task import TaskConfig


class ClsConfig(TaskConfig):
    """``[tasks.cls]``.

    Attributes:
        labels: ``one``: each image shows one class, scores sum to 1. ``many``: any number, scores are
            independent.
        pooling: What is classified. ``mean``: the mean patch. ``token``: the class token, or the class tokens
            of several branches, whose logits are averaged. ``attention``: patches by learned weights.
        loss: ``ce``: cross-entropy of the softmax. ``bce``: binary cross-entropy of each class (Wightman et
            al. 2021; Touvron et al. 2022). By default ``ce`` for one label and ``bce`` for many.
        smoothing: Share of each label that is spread evenly (Szegedy et al. 2016): over the classes for
            ``ce``, over yes and no for ``bce``.
        dropout: Share of what is classified that is dropped in training.
        loss_class: Weight of the loss.
    """

    labels: Literal["one", "many"] = "one"
    pooling: Literal["mean", "token", "attention"] = "mean"
    loss: Literal["ce", "bce"] | None = None
    smoothing: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    loss_class: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _check_loss(self) -> "ClsConfig":
        if self.labels == "many" and self.loss == "ce":
            raise ValueError("loss 'ce' is for one label an image; take 'bce' where labels is 'many'")
        return self
