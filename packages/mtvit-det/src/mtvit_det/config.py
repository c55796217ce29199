"""Settings of the detection task."""

from typing import Literal

from pydantic import Field

from mtvit_core.tasks.task import TaskConfig


class DetConfig(TaskConfig):
    """``[tasks.det]``.

    Attributes:
        variant: ``picked``: queries picked from patches, boxes as offsets from theirs, focal losses; our
            default. ``yolos``: learned tokens from block 0, joint attention, softmax with a no-object class
            (Fang et al. 2021).
        queries: Tokens Q; YOLOS has 100.
        token_positions: Whether the tokens have learned positions after every block but the last, which the
            larger published YOLOS have (yolos).
        id_columns: Class columns of a head in which the column of a class is its id; published YOLOS have 91
            on COCO. By default every class has a column, in order (yolos).
        blocks: Last blocks that the picked queries pass through.
        visibility: Who sees the queries, see ``TokenGroup``; by default joint for yolos, isolated for picked.
        deep_supervision: Whether every one of these blocks is supervised, not only the last (picked).
        top_k: Most boxes of an image in the results.
        nms: Of two boxes of one class that overlap by more than this IoU only the better one is a result; 1
            keeps both (picked).
        no_object: Weight of the no-object class in the cross-entropy (yolos).
        cost_class: Weight of the class in the matching cost; by default 1 for yolos and 2 for picked.
        cost_l1: Weight of the L1 distance of relative boxes in the matching cost.
        cost_giou: Weight of the GIoU in the matching cost.
        loss_class: Weight of the classification loss.
        loss_l1: Weight of the L1 loss of relative boxes.
        loss_giou: Weight of the GIoU loss.
        loss_proposal: Weight of the losses of the dense proposals (picked).
        loss_region: Weight of the class that is read inside the boxes (picked).
        loss_denoising: Weight of what is read of boxes near the truth (picked).
    """

    variant: Literal["picked", "yolos"] = "picked"
    queries: int = Field(100, ge=1)
    token_positions: bool = False
    id_columns: int | None = Field(None, ge=1)
    blocks: int = Field(1, ge=1)
    visibility: Literal["isolated", "joint"] | None = None
    deep_supervision: bool = True
    top_k: int = Field(100, ge=1)
    nms: float = Field(0.7, ge=0, le=1)
    no_object: float = Field(0.1, gt=0)
    cost_class: float | None = Field(None, ge=0)
    cost_l1: float = Field(5.0, ge=0)
    cost_giou: float = Field(2.0, ge=0)
    loss_class: float = Field(1.0, ge=0)
    loss_l1: float = Field(5.0, ge=0)
    loss_giou: float = Field(2.0, ge=0)
    loss_proposal: float = Field(1.0, ge=0)
    loss_region: float = Field(1.0, ge=0)
    loss_denoising: float = Field(1.0, ge=0)
