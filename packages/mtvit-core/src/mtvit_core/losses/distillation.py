"""What a student's queries and patches have to learn to say what its teacher says.

With the teacher's objects m, their class probabilities p_m, boxes b_m and weights s_m = max_c p_mc:

    match      least sum of  sum_c p_mc (FL(z_qc, 1) - FL(z_qc, 0)) + box cost, over the student's queries q
    class      sum_q QFL(z_q, p_m(q)) / sum_m s_m,  p = 0 for a query without an object
               with "no object": weighted mean over q of KL(t_q || softmax z_q),  t = (p, 1 - sum p)
    box        sum_m s_m |b_q(m) - b_m| / sum_m s_m,  and 1 - GIoU alike
    proposals  the same two between the proposals of the same patch n, boxes where s_n = max_c p_nc >= 0.1

Matched logits after Chang et al. 2023 (DETRDistill); soft targets by Li et al. 2020, eq. 3 (quality focal
loss, QFL). All are 0 where the student says what the teacher says, ``class`` but for its chances below 0.1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.box_regression import proposal_box_loss
from mtvit_core.losses.classification import quality_focal, sigmoid_focal
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou

#: Probability of its best class from which a teacher's query is an object; below it is background.
TAUGHT_SCORE = 0.1


@dataclass(frozen=True)
class SoftObjects:
    """The teacher's confident queries, best first, padded to the most of one image.

    Attributes:
        probabilities: Of every class; zero in padding.
        boxes: cx cy w h relative to the canvas; zero in padding.
        weight: Probability of the best class; zero in padding.
        query: The teacher's query of each object; 0 in padding.
        counts: Objects of each image.
        pick: The teacher's dense proposals; None where it has none.
    """

    probabilities: Float[Tensor, "B M C"]
    boxes: Float[Tensor, "B M 4"]
    weight: Float[Tensor, "B M"]
    query: Int64[Tensor, "B M"]
    counts: tuple[int, ...]
    pick: Pick | None

    def of_queries(self, values: Float[Tensor, "B Q *any"]) -> Float[Tensor, "B M *any"]:
        """Return what else the teacher says about each object; rows of padding are arbitrary."""
        image = torch.arange(len(self.query), device=values.device)[:, None]
        return values[image, self.query]


@torch.no_grad()
def soft_objects(
    probabilities: Float[Tensor, "B Q C"], boxes: Float[Tensor, "B Q 4"], pick: Pick | None
) -> SoftObjects:
    """Keep the queries whose best class is at least ``TAUGHT_SCORE``.

    Args:
        probabilities: Of every class.
        boxes: cx cy w h relative to the canvas.
        pick: Dense proposals, where there are some.
    """
    scores, query = probabilities.amax(-1).sort(descending=True, stable=True)
    found = (scores >= TAUGHT_SCORE).sum(1)
    most = int(found.max()) if len(found) else 0
    valid = torch.arange(most, device=scores.device) < found[:, None]
    query = torch.where(valid, query[:, :most], 0)
    image = torch.arange(len(query), device=query.device)[:, None]
    return SoftObjects(
        probabilities=probabilities[image, query] * valid[..., None],
        boxes=boxes[image, query] * valid[..., None],
        weight=scores[:, :most] * valid,
        query=query,
        counts=tuple(int(count) for count in found.tolist()),
        pick=pick,
    )


def expected_focal_cost(logits: Float[Tensor, "L B Q C"], objects: SoftObjects) -> Float[Tensor, "L B Q M"]:
    """Focal matching cost, expected under the teacher's probabilities."""
    ones = torch.ones_like(logits)
    gain = sigmoid_focal(logits, ones) - sigmoid_focal(logits, 1 - ones)
    return torch.einsum("lbqc,bmc->lbqm", gain, objects.probabilities)


def soft_targets(objects: SoftObjects, match: Match, queries: int) -> Float[Tensor, "L B Q C"]:
    """Return the teacher's probabilities at matched queries, zeros at the others."""
    layers, images, _ = match.query.shape
    classes = objects.probabilities.shape[-1]
    # Unmatched objects write into one spare row that is cut off.
    index = torch.where(match.matched, match.query, queries)[..., None].expand(-1, -1, -1, classes)
    spread = objects.probabilities.new_zeros(layers, images, queries + 1, classes)
    source = objects.probabilities.expand(layers, -1, -1, -1)
    filled: Tensor = spread.scatter_(2, index, source)
    return filled[:, :, :queries]


def soft_class_loss(
    logits: Float[Tensor, "L B Q C"], objects: SoftObjects, match: Match
) -> Float[Tensor, ""]:
    """Quality focal loss towards the teacher's probabilities, summed over layers."""
    target = soft_targets(objects, match, logits.shape[2])
    return quality_focal(logits, target).sum() / shared_count(objects.weight.sum())


def expected_softmax_cost(
    logits: Float[Tensor, "L B Q C"], columns: Int64[Tensor, " C2"], objects: SoftObjects
) -> Float[Tensor, "L B Q M"]:
    """Minus the probability of the class, expected under the teacher's probabilities.

    Args:
        logits: Of all class columns, the last of which is "no object".
        columns: Column of each category.
        objects: What the teacher says.
    """
    chances = logits.softmax(-1)[..., columns.to(logits.device)]
    return -torch.einsum("lbqc,bmc->lbqm", chances, objects.probabilities)


def soft_softmax_loss(
    logits: Float[Tensor, "L B Q C"],
    columns: Int64[Tensor, " C2"],
    objects: SoftObjects,
    match: Match,
    no_object: float,
) -> Float[Tensor, ""]:
    """Divergence from the teacher's classes and "no object": the weighted mean over queries, over layers.

    Args:
        logits: Of all class columns, the last of which is "no object".
        columns: Column of each category.
        objects: What the teacher says; probabilities that sum to more than 1 are scaled down to it.
        match: Which query answers for which object.
        no_object: Weight of queries without an object.
    """
    queries = logits.shape[2]
    chances = soft_targets(objects, match, queries)
    chances = chances / chances.sum(-1, keepdim=True).clamp(min=1)
    truth = torch.cat([chances, (1 - chances.sum(-1, keepdim=True)).clamp(min=0)], -1)
    said = logits.log_softmax(-1)[..., [*columns.tolist(), logits.shape[-1] - 1]]
    divergence = -(truth * said + torch.special.entr(truth)).sum(-1)
    weight = match.scatter(torch.ones_like(objects.weight), queries, no_object)
    mean: Tensor = (divergence * weight).sum((1, 2)) / shared_count(weight.sum((1, 2)), least=1e-6)
    return mean.sum()


def soft_box_losses(
    boxes: Float[Tensor, "L B Q 4"], objects: SoftObjects, match: Match
) -> dict[str, Float[Tensor, ""]]:
    """L1 and 1 - GIoU to the teacher's boxes, as it is sure of them, summed over layers."""
    found, truth = match.gather(boxes), objects.boxes.expand(*match.query.shape, 4)
    weight, total = objects.weight * match.matched, shared_count(objects.weight.sum())
    distance = (found - truth).abs().sum(-1)
    overlap = generalized_box_iou(cxcywh_to_xyxy(found), cxcywh_to_xyxy(truth))
    return {"l1": (weight * distance).sum() / total, "giou": (weight * (1 - overlap)).sum() / total}


def soft_proposal_losses(
    pick: Pick | None, teacher: Pick | None, loss_weight: float
) -> dict[str, Float[Tensor, ""]]:
    """Teach every patch what the teacher proposes there.

    Args:
        pick: The student's proposals.
        teacher: The teacher's, on the same grid and for the same classes.
        loss_weight: Weight of both terms.

    Returns:
        ``proposal_class`` and ``proposal_box``; nothing where one of the two proposes nothing.
    """
    if pick is None or teacher is None:
        return {}
    target = teacher.logits.sigmoid()
    score = target.amax(-1)
    weight = score * (score >= TAUGHT_SCORE)
    total = shared_count(weight.sum())
    classes = quality_focal(pick.logits, target).sum() / total
    box = (weight * proposal_box_loss(pick.boxes, teacher.boxes)).sum() / total
    return {"proposal_class": loss_weight * classes, "proposal_box": loss_weight * box}


def binary_divergence(
    logits: Float[Tensor, "*any"], probabilities: Float[Tensor, "*any"]
) -> Float[Tensor, "*any"]:
    """Kullback-Leibler divergence of the teacher's yes-or-no answers from the student's, elementwise.

    The cross-entropy less its least value, which no student can change: 0 where both agree.
    """
    entropy = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
    return F.binary_cross_entropy_with_logits(logits, probabilities, reduction="none").sub(entropy)
