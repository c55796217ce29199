"""The place of a block that a smaller network leaves out; depths are counted with it."""

from torch import nn


class Absent(nn.Module):
    """No block: tokens pass its place as they are."""
