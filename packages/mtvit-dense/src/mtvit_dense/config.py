"""Settings of the dense tasks."""

from typing import Literal

from pydantic import Field

from mtvit_core.tasks.task import TaskConfig


class DenseConfig(TaskConfig):
    """What all dense tasks can be told.

    Attributes:
        decoder: ``fuse``: patches of several depths, fused and brought to a quarter of the canvas; tasks with
            the same ``channels`` and ``depths`` share one. ``linear``: a linear layer on the patches of the
            output, for each task alone.
        channels: Channels of the fused map.
        depths: Number of depths that are fused, spread evenly, the output among them.
        fine: ``linear``: numbers along each side of a patch.
    """

    decoder: Literal["fuse", "linear"] = "fuse"
    channels: int = Field(64, ge=2)
    depths: int = Field(4, ge=1)
    fine: int = Field(4, ge=1)


class SemanticConfig(DenseConfig):
    """``[tasks.semantic]``.

    Attributes:
        classes: Names of the classes; class k is number k. Empty: those that the data name; without any,
            ``background`` and the categories of the data.
        loss_class: Weight of the cross-entropy.
        loss_dice: Weight of the soft Dice loss of each class that an image shows.
    """

    classes: tuple[str, ...] = ()
    loss_class: float = Field(1.0, ge=0)
    loss_dice: float = Field(0.5, ge=0)


class DepthConfig(DenseConfig):
    """``[tasks.depth]``.

    Attributes:
        inverse: Whether the network predicts, and is trained on, 1 / depth: near pixels count more. Results
            are depths all the same. Leave it off where the data hold inverse depth or disparity already.
        loss_abs: Weight of the mean absolute error.
        loss_si: Weight of the scale-invariant error.
        si_mean: Share of the mean that the scale-invariant error forgives: 1 forgives a wrong scale wholly.
    """

    inverse: bool = False
    loss_abs: float = Field(1.0, ge=0)
    loss_si: float = Field(0.0, ge=0)
    si_mean: float = Field(0.5, ge=0, le=1)


class NormalsConfig(DenseConfig):
    """``[tasks.normals]``: the weight of its loss.

    Attributes:
        loss_cosine: Weight of 1 - cos of the angle between prediction and label.
    """

    loss_cosine: float = Field(1.0, ge=0)


class EdgesConfig(DenseConfig):
    """``[tasks.edges]``.

    Attributes:
        loss_class: Weight of the balanced cross-entropy.
        positive: Weight of edge pixels in it; other pixels have the rest to 1.
        tolerance: Distance at which an edge still counts as found, as a share of the image's diagonal.
    """

    loss_class: float = Field(1.0, ge=0)
    positive: float = Field(0.95, gt=0, lt=1)
    tolerance: float = Field(0.0075, ge=0)
