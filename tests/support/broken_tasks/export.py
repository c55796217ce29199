"""Tasks that are broken in what they let the data decide."""

from dataclasses import replace

from torch import nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.task import Detection


class DecidingHead(PickedHead):
    """Asks for the value of a tensor."""

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        return found if found.logits.mean().item() > 0 else replace(found, logits=-found.logits)


class Deciding(Detection):
    """Python decides what is computed."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return DecidingHead(backbone.width, len(self.categories), self.variant.layers(backbone))


class CountingHead(PickedHead):
    """Remembers how often it ran."""

    runs = 0

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        self.runs += 1
        return replace(found, logits=found.logits + self.runs)


class Counting(Detection):
    """What it says depends on what a program cannot hold."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return CountingHead(backbone.width, len(self.categories), self.variant.layers(backbone))
