"""Non-maximum suppression: of objects of one class whose boxes overlap too much the best stays."""

from torchvision.ops import batched_nms

from mtvit_core.structures.instances import Instances


def class_nms(found: Instances, threshold: float) -> Instances:
    """Drop objects whose box overlaps that of a better one of the same class.

    Args:
        found: Objects of one image.
        threshold: Largest IoU with a kept box; 1 keeps all.

    Returns:
        The objects that stay, best first.
    """
    if threshold >= 1:
        return found
    return found[batched_nms(found.boxes, found.scores, found.labels, threshold)]
