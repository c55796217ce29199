"""Compositions shown several times: drawing one takes longer than learning from it.

Each time it is mirrored, transposed, its colours exchanged and inverted at random.
"""

from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_train.pretraining.composition import Composition, compose

#: How often each composition of a batch is shown.
REUSE = 4


def shown_again(source: UInt8[Tensor, "I 3 H W"], count: int) -> Composition:
    """Draw a batch of compositions, each shown ``REUSE`` times in another way.

    Args:
        source: Unlabelled images that surfaces come from.
        count: Compositions of the batch.
    """
    new = compose(source, -(-count // REUSE))
    shown = new.take(torch.arange(count) % len(new))
    return recoloured(mirrored(shown))


def mirrored(part: Composition) -> Composition:
    """Mirror left and right, up and down, and along the diagonal, each with probability 1/2."""
    count = len(part)
    images, owner, joints = part.images, part.owner, part.joints
    known = (joints >= 0).all(-1, keepdim=True)
    for axis in (0, 1):  # x, y
        chosen = torch.rand(count) < 0.5
        images = torch.where(chosen[:, None, None, None], images.flip(3 - axis), images)
        owner = torch.where(chosen[:, None, None], owner.flip(2 - axis), owner)
        turned = joints.clone()
        turned[..., axis] = 1 - turned[..., axis]
        joints = torch.where(chosen[:, None, None, None], turned, joints)
    chosen = torch.rand(count) < 0.5
    images = torch.where(chosen[:, None, None, None], images.transpose(2, 3), images)
    owner = torch.where(chosen[:, None, None], owner.transpose(1, 2), owner)
    joints = torch.where(chosen[:, None, None, None], joints.flip(-1), joints)
    return replace(part, images=images, owner=owner, joints=torch.where(known, joints, -1.0))


def recoloured(part: Composition) -> Composition:
    """Exchange the three colours, and invert them with probability 1/2."""
    order = torch.rand(len(part), 3).argsort(1)[:, :, None, None]
    images = part.images.gather(1, order.expand_as(part.images))
    chosen = torch.rand(len(part), 1, 1, 1) < 0.5
    return replace(part, images=torch.where(chosen, 255 - images, images))
