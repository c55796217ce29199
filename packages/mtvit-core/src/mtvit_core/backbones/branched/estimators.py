"""Gates with a gradient for the scores that decide about them; a score above 0.5 is shared.

    straight-through   g = 1[s > 0.5],  dg/ds = 1                       (Bengio et al. 2013; ViT-MVT)
    Gumbel-softmax     g = sigmoid((s - 0.5 + log u - log(1 - u)) / t)  (Jang et al. 2017; AdaShare)

The second is the softmax of two logits with Gumbel noise: their difference alone counts, and the difference
of two Gumbel numbers is a logistic one.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

#: Score above which a gate is shared.
THRESHOLD = 0.5


@dataclass(frozen=True)
class StraightThrough:
    """Gates of 0 and 1, whose gradient goes to the scores as it is."""

    def gates(self, scores: Float[Tensor, "L T 4"]) -> Float[Tensor, "L T 4"]:
        """Return the gates, by block, task and linear layer."""
        hard = (scores.detach() > THRESHOLD).to(scores.dtype)
        return hard + (scores - scores.detach())


@dataclass(frozen=True)
class Gumbel:
    """Gates between 0 and 1, drawn about the scores.

    Attributes:
        temperature: The lower, the nearer are gates to 0 and 1.
        noise: Logistic numbers.
    """

    temperature: float
    noise: Float[Tensor, "L T 4"]

    def gates(self, scores: Float[Tensor, "L T 4"]) -> Float[Tensor, "L T 4"]:
        """Return the gates, by block, task and linear layer."""
        return ((scores - THRESHOLD + self.noise.to(scores)) / self.temperature).sigmoid()


Estimator: TypeAlias = StraightThrough | Gumbel
