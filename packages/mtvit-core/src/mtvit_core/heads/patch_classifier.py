"""One logit per category for a whole image, from the mean of its patch tokens: z = f(mean_n x_n)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features


@dataclass(frozen=True)
class ImageLogits:
    """Logits of "the image shows this category"."""

    logits: Float[Tensor, "B C"]


class PatchClassifier(nn.Module):
    """Averages the patch tokens of the output and classifies the mean."""

    def __init__(self, classify: nn.Module) -> None:
        """Keep the classifier.

        Args:
            classify: From the mean patch token B D to logits B C.
        """
        super().__init__()
        self.classify = classify

    def forward(self, features: Features) -> ImageLogits:
        """Classify each image of the batch."""
        return ImageLogits(self.classify(features.last.patches.mean((2, 3))))
