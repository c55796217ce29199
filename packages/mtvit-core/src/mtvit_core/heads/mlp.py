"""The small perceptron that heads use (DETR's ``MLP``: linear layers with ReLU between)."""

import itertools

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Hidden(nn.Linear):
    """A linear layer whose output goes on to another layer.

    Optimisers that treat such matrices apart from those that say something, as Muon does, know them by it.
    """


class MLP(nn.Module):
    """``layers`` linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int, zero_last: bool = False) -> None:
        """Draw the weights.

        Args:
            inputs: Width of the input.
            hidden: Width between layers.
            outputs: Width of the output.
            layers: Number of linear layers, at least 1.
            zero_last: Start the last layer at zero, so that the output starts at zero.
        """
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1), outputs]
        hidden_layers: list[nn.Linear] = [Hidden(a, b) for a, b in itertools.pairwise(widths[:-1])]
        linear = [*hidden_layers, nn.Linear(widths[-2], outputs)]
        self.layers = nn.ModuleList(linear)
        if zero_last:
            nn.init.zeros_(linear[-1].weight)
            nn.init.zeros_(linear[-1].bias)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any O"]:
        """Apply the layers to the last axis."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]  # torch modules are untyped callables
