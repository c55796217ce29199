"""Settings of the pose task."""

from typing import Literal

from pydantic import Field

from mtvit_core.tasks.task import TaskConfig


class PoseConfig(TaskConfig):
    """``[tasks.pose]``.

    Attributes:
        variant: ``onepass``: queries picked from the whole image are people with keypoints; our default. The
            others look at one crop per person: ``vitpose`` and ``vitpose-simple`` (Xu et al. 2022),
            ``tokenpose`` (Li et al. 2021).
        queries: People the model can find in an image, Q (onepass).
        blocks: Last blocks that the queries pass through (onepass).
        visibility: Who sees the queries, see ``TokenGroup`` (onepass).
        deep_supervision: Whether every one of these blocks is supervised, not only the last (onepass).
        refine: Whether a window heatmap around each regressed keypoint corrects it (onepass).
        window: Points along one side of that window.
        reach: Half the side of the window, in units of the square root of the area of the person's box.
        embedding: Channels of the keypoint embeddings and of the upscaled feature map that windows compare.
        one_to_many: Whether queries picked on a person but not matched to it learn its box and keypoints too
            (onepass).
        top_k: Most people of an image in the results (onepass).
        nms: Of two people whose boxes overlap by more than this IoU only the better one is a result; 1 keeps
            both (onepass).
        oks_nms: Of two poses of an image whose OKS is above this only the better one is a result; 1 keeps
            both (top-down).
        flip_test: Whether heatmaps are averaged with those of the mirrored crop when results are made, which
            takes twice the time (top-down).
        codec: How crops are cut, and keypoints drawn and read: ``udp``, unbiased (Huang et al. 2020), as
            ViTPose is trained on COCO and MPII; ``msra``, at full pixels (Xiao et al. 2018), as on AIC,
            CrowdPose, AP-10K, APT-36K and COCO-WholeBody (vitpose and vitpose-simple).
        knowledge: Whether a knowledge token, fitted to a teacher, is beside the patches (vitpose and
            vitpose-simple).
        cost_class: Weight of the class in the matching cost.
        cost_l1: Weight of the L1 distance of relative boxes in the matching cost.
        cost_giou: Weight of the GIoU in the matching cost.
        cost_keypoint: Weight of the L1 distance of keypoints, in person sizes, in the matching cost.
        cost_oks: Weight of 1 - OKS in the matching cost.
        loss_class: Weight of the classification loss.
        loss_l1: Weight of the L1 loss of relative boxes.
        loss_giou: Weight of the GIoU loss.
        loss_keypoint: Weight of the L1 loss of keypoints, regressed and refined, in person sizes.
        loss_oks: Weight of 1 - OKS, regressed and refined.
        loss_heatmap: Weight of the cross-entropy of the window heatmaps.
        loss_visibility: Weight of the cross-entropy of "this keypoint is labelled".
        loss_quality: Weight of the cross-entropy of the expected OKS.
        loss_proposal: Weight of the losses of the dense proposals.
        loss_denoising: Weight of what is read of boxes near the truth: corrected boxes and keypoints.
        loss_dense: Weight of the dense heatmaps that all people of an image share.
        loss_joints: Weight of the heatmap error (top-down); 1 is what the papers used, alone in the model.
    """

    variant: Literal["onepass", "vitpose", "vitpose-simple", "tokenpose"] = "onepass"
    queries: int = Field(60, ge=1)
    blocks: int = Field(1, ge=1)
    visibility: Literal["isolated", "joint"] = "isolated"
    deep_supervision: bool = True
    refine: bool = True
    window: int = Field(9, ge=3)
    reach: float = Field(0.35, gt=0)
    embedding: int = Field(32, ge=1)
    one_to_many: bool = True
    top_k: int = Field(50, ge=1)
    nms: float = Field(0.65, ge=0, le=1)
    oks_nms: float = Field(0.9, ge=0, le=1)
    flip_test: bool = False
    codec: Literal["udp", "msra"] = "udp"
    knowledge: bool = False
    cost_class: float = Field(2.0, ge=0)
    cost_l1: float = Field(5.0, ge=0)
    cost_giou: float = Field(2.0, ge=0)
    cost_keypoint: float = Field(4.0, ge=0)
    cost_oks: float = Field(4.0, ge=0)
    loss_class: float = Field(1.0, ge=0)
    loss_l1: float = Field(5.0, ge=0)
    loss_giou: float = Field(2.0, ge=0)
    loss_keypoint: float = Field(4.0, ge=0)
    loss_oks: float = Field(4.0, ge=0)
    loss_heatmap: float = Field(0.5, ge=0)
    loss_visibility: float = Field(0.5, ge=0)
    loss_quality: float = Field(1.0, ge=0)
    loss_proposal: float = Field(1.0, ge=0)
    loss_denoising: float = Field(1.0, ge=0)
    loss_dense: float = Field(0.2, ge=0)
    loss_joints: float = Field(1.0, ge=0)
