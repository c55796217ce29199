"""Tasks that are broken by what they do to other tasks."""

from dataclasses import replace

from torch import nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.task import Detection


class CuriousHead(PickedHead):
    """Reads the queries of all tasks."""

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        crowd = sum(queries.mean() for queries in features.last.queries.values())
        return replace(found, logits=found.logits + crowd)


class Curious(Detection):
    """Other tasks change what it says."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return CuriousHead(backbone.width, len(self.categories), self.variant.layers(backbone))


class RudeHead(PickedHead):
    """Changes what other heads read."""

    def forward(self, features: Features) -> DetPredictions:
        features.last.patches.mul_(2)
        return super().forward(features)


class Rude(Detection):
    """It changes what other tasks say."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return RudeHead(backbone.width, len(self.categories), self.variant.layers(backbone))


class MeddlingHead(PickedHead):
    """Gives other heads something else to read."""

    def forward(self, features: Features) -> DetPredictions:
        queries = features.last.queries
        assert isinstance(queries, dict)
        for name in queries.keys() - {"det"}:
            queries[name] = queries[name] + 1
        return super().forward(features)


class Meddling(Detection):
    """It changes what other tasks say, unseen by the model."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return MeddlingHead(backbone.width, len(self.categories), self.variant.layers(backbone))
