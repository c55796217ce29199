"""From tokens to one logit per class.

    mean       z = W LN(mean_n x_n) + b
    token      z = mean_k (W_k c_k + b_k),  c_k the class token of branch k (one in a plain ViT)
    attention  z = W LN(sum_n a_n V x_n) + b,  a = softmax_n(q K x_n / sqrt(d)) in each head

Sources: Chen et al. 2021 (CrossViT, class tokens of two branches); Touvron et al. 2021 (CaiT) and Bardes et
al. 2024 (attentive probing), of which the query and the weights over patches.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mtvit_cls.config import ClsConfig
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import ConfigError
from mtvit_core.heads.patch_classifier import ImageLogits


class MeanHead(nn.Module):
    """Classifies the mean patch."""

    def __init__(self, spec: BackboneSpec, classes: int, dropout: float) -> None:
        """Draw the weights.

        Args:
            spec: What the backbone gives.
            classes: Number of classes.
            dropout: Share of the pooled token that is dropped in training.
        """
        super().__init__()
        self.norm = nn.LayerNorm(spec.width)
        self.drop = nn.Dropout(dropout)
        self.classify = _linear(spec.width, classes)

    def forward(self, features: Features) -> ImageLogits:
        """Classify each image of the batch."""
        pooled = self.pool(features.last.patches.flatten(2).transpose(1, 2))
        return ImageLogits(self.classify(self.drop(self.norm(pooled))))

    def pool(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Return their mean."""
        return patches.mean(1)


class AttentionHead(MeanHead):
    """Classifies patches by how much a learned query attends to them."""

    def __init__(self, spec: BackboneSpec, classes: int, dropout: float) -> None:
        """Draw the weights; arguments as those of ``MeanHead``."""
        super().__init__(spec, classes, dropout)
        self.heads = spec.heads
        self.query = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, spec.width), std=0.02))
        self.keys, self.values = nn.Linear(spec.width, spec.width), nn.Linear(spec.width, spec.width)

    def pool(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        """Return what the query reads."""
        q = self._by_head(self.query.expand(len(patches), 1, -1))
        k, v = self._by_head(self.keys(patches)), self._by_head(self.values(patches))
        return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1)

    def _by_head(self, tokens: Float[Tensor, "B S D"]) -> Float[Tensor, "B A S d"]:
        apart: Tensor = tokens.unflatten(2, (self.heads, -1))  # type: ignore[no-untyped-call]  # torch's own
        return apart.transpose(1, 2)


class TokenHead(nn.Module):
    """Classifies each class token, and averages the logits."""

    def __init__(self, spec: BackboneSpec, classes: int, dropout: float) -> None:
        """Draw the weights; arguments as those of ``MeanHead``.

        Raises:
            ConfigError: the backbone has no class token.
        """
        super().__init__()
        if not spec.class_tokens:
            raise ConfigError(
                "tasks.cls.pooling is 'token', but the backbone has no class token; take 'mean' or "
                "'attention'."
            )
        self.drop = nn.Dropout(dropout)
        self.classify = nn.ModuleList(_linear(width, classes) for width in spec.class_tokens)

    def forward(self, features: Features) -> ImageLogits:
        """Classify each image of the batch."""
        pairs = zip(self.classify, features.class_tokens, strict=True)
        return ImageLogits(torch.stack([classify(self.drop(token)) for classify, token in pairs]).mean(0))


_HEADS: Mapping[str, Callable[[BackboneSpec, int, float], nn.Module]] = {
    "mean": MeanHead,
    "attention": AttentionHead,
    "token": TokenHead,
}


def make_head(config: ClsConfig, spec: BackboneSpec, classes: int) -> nn.Module:
    """Return the head that the settings ask for.

    Raises:
        ConfigError: the backbone does not fit the pooling.
    """
    return _HEADS[config.pooling](spec, classes, config.dropout)


def _linear(width: int, classes: int) -> nn.Linear:
    """A linear layer of small weights, so that all classes start about equally likely."""
    layer = nn.Linear(width, classes)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
