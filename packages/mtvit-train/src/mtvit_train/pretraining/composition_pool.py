"""A pool of compositions: drawing one takes longer than learning from it, so each is shown several times.

Each time it is mirrored, transposed, its colours exchanged and inverted at random.
"""

from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_train.pretraining.composition import Composition, compose, concatenate

#: Compositions that are kept; the oldest make room.
KEPT = 4000
#: One in this many compositions of a batch is new.
REUSE = 4


class Pool:
    """Draws batches of which one part in ``REUSE`` is new."""

    def __init__(self, source: UInt8[Tensor, "I 3 H W"]) -> None:
        """Draw the first compositions.

        Args:
            source: Unlabelled images that surfaces come from.
        """
        self.source, self.oldest = source, 0
        self.kept = concatenate([compose(source, 64) for _ in range(8)])

    def draw(self, count: int) -> Composition:
        """Return a batch of ``count`` compositions."""
        new = compose(self.source, max(1, count // REUSE))
        old = self.kept.take(torch.randint(len(self.kept), (count - len(new),)))
        self._keep(new)
        return recoloured(mirrored(concatenate([new, old])))

    def _keep(self, new: Composition) -> None:
        if len(self.kept) < KEPT:
            self.kept = concatenate([self.kept, new])
            return
        self.kept.put((self.oldest + torch.arange(len(new))) % KEPT, new)
        self.oldest = (self.oldest + len(new)) % KEPT


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
