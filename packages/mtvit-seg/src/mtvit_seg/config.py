"""Settings of the segmentation task."""

from typing import Literal

from pydantic import Field, field_validator

from mtvit_core.tasks.task import TaskConfig

#: What can be said of an image.
Kind = Literal["instances", "panoptic", "semantic"]


class SegConfig(TaskConfig):
    """``[tasks.seg]``.

    Attributes:
        variant: ``picked``: queries picked from patches, masks read in their boxes and refined by the query,
            focal losses; our default. ``eomt``: learned queries, joint attention, softmax with a no-object
            class (Kerssies et al. 2025).
        queries: Tokens Q; EoMT has 200 on COCO.
        blocks: Last blocks that the queries pass through; by default 1 for picked, and 3 for eomt, which
            has 3 (S, B), 4 (L), 5 (g).
        visibility: Who sees the queries, see ``TokenGroup``; by default joint for eomt, isolated for picked.
        deep_supervision: Whether every depth the queries pass is supervised, not only the output.
        mask_width: Channels of the mask embeddings and of the upscaled patches (picked); eomt has the token
            width.
        masked_attention: Whether queries attend inside their own intermediate mask in training (eomt).
        anneal: Whether that masking fades out in the course of training.
        prior_sharpness: Logit of the mask prior at the centre of a query's box; it is 0 on the ellipse that
            touches the box (picked).
        sampling: Where mask costs and losses are taken: ``points``: at random points, most of them uncertain
            ones; ``dense``: at every pixel of the mask map; by default points for eomt, and for picked dense
            where the map has at most ``points`` pixels.
        points: Random points of each mask.
        oversample: Points drawn for each one kept by uncertainty.
        importance: Share of the points that are kept by uncertainty; the rest is uniform.
        cost_class: Weight of the class in the matching cost.
        cost_mask: Weight of the binary cross-entropy of the masks in the matching cost.
        cost_dice: Weight of the dice term of the masks in the matching cost.
        cost_l1: Weight of the L1 distance of relative boxes in the matching cost (picked).
        cost_giou: Weight of the GIoU in the matching cost (picked).
        loss_class: Weight of the classification loss.
        loss_mask: Weight of the binary cross-entropy of the masks.
        loss_dice: Weight of the dice loss of the masks.
        loss_l1: Weight of the L1 loss of relative boxes (picked).
        loss_giou: Weight of the GIoU loss (picked).
        loss_proposal: Weight of the losses of the dense proposals (picked).
        loss_region: Weight of the class that is read inside the boxes (picked).
        loss_denoising: Weight of what is read of boxes near the truth (picked).
        no_object: Weight of the no-object class in the cross-entropy (eomt).
        results: What is said of an image, and scored: ``instances``, objects with masks, which may overlap;
            ``panoptic``, a map of one segment for every pixel; ``semantic``, a map of one class.
        top_k: Most objects of an image in the results.
        nms: Of two objects of one class whose boxes overlap by more than this IoU only the better one is a
            result; 1 keeps both (picked).
        mask_threshold: Logit above which a pixel belongs to a mask.
        stuff: Original ids of the categories whose segments are merged in panoptic results; the others are
            things.
        panoptic_score: Least class score of a panoptic segment.
        panoptic_overlap: Least share of a mask that must be left to its segment.
    """

    variant: Literal["picked", "eomt"] = "picked"
    queries: int = Field(100, ge=1)
    blocks: int | None = Field(None, ge=1)
    visibility: Literal["isolated", "joint"] | None = None
    deep_supervision: bool = True
    mask_width: int = Field(64, ge=1)
    masked_attention: bool = True
    anneal: bool = True
    prior_sharpness: float = Field(2.0, ge=0)
    sampling: Literal["dense", "points"] | None = None
    points: int = Field(12544, ge=1)
    oversample: float = Field(3.0, ge=1)
    importance: float = Field(0.75, ge=0, le=1)
    cost_class: float = Field(2.0, ge=0)
    cost_mask: float = Field(5.0, ge=0)
    cost_dice: float = Field(5.0, ge=0)
    cost_l1: float = Field(5.0, ge=0)
    cost_giou: float = Field(2.0, ge=0)
    loss_class: float = Field(2.0, ge=0)
    loss_mask: float = Field(5.0, ge=0)
    loss_dice: float = Field(5.0, ge=0)
    loss_l1: float = Field(5.0, ge=0)
    loss_giou: float = Field(2.0, ge=0)
    loss_proposal: float = Field(1.0, ge=0)
    loss_region: float = Field(1.0, ge=0)
    loss_denoising: float = Field(1.0, ge=0)
    no_object: float = Field(0.1, gt=0)
    results: tuple[Kind, ...] = Field(("instances",), min_length=1)
    top_k: int = Field(100, ge=1)
    nms: float = Field(0.8, ge=0, le=1)
    mask_threshold: float = 0.0
    stuff: tuple[int, ...] = ()
    panoptic_score: float = Field(0.8, ge=0, le=1)
    panoptic_overlap: float = Field(0.8, ge=0, le=1)

    @field_validator("results")
    @classmethod
    def _each_once(cls, results: tuple[Kind, ...]) -> tuple[Kind, ...]:
        twice = [kind for kind in results if results.count(kind) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is listed more than once; name each kind of result once")
        return results
