"""Published checkpoints of ViTPose, ViTPose+ and TokenPose, with what their authors report.

Accuracy is keypoint AP on COCO val2017, with boxes of the detector of 56.4 person AP and the flip test.
Parameters are those of the converted model. Official files are named by their configurations.
"""

from mtvit_core.published.format import KnownModel

_README = "https://github.com/ViTAE-Transformer/ViTPose"
_LICENCE = "Apache-2.0"


def _official(size: str, decoder: str, parameters: float, ap: float) -> KnownModel:
    letter, simple = size[0].upper(), "_simple" if decoder == "simple" else ""
    config = f"ViTPose_{size}{simple}_coco_256x192"
    return KnownModel(
        f"ViTPose-{letter} {decoder}", config, "pose", parameters, f"{ap} AP, COCO val2017", _README, _LICENCE
    )


def _plus(size: str, parameters: float, ap: float) -> KnownModel:
    config = f"vitPose+_{size}_coco+aic+mpii+ap10k+apt36k+wholebody_256x192_udp"
    name = f"ViTPose+-{size[0].upper()}"
    return KnownModel(name, config, "pose", parameters, f"{ap} AP, COCO val2017", _README, _LICENCE)


OFFICIAL_VITPOSE = (
    _official("small", "classic", 24.3, 73.8),
    _official("base", "classic", 90.0, 75.8),
    _official("large", "classic", 308.5, 78.3),
    _official("huge", "classic", 637.2, 79.1),
    _official("small", "simple", 21.7, 73.5),
    _official("base", "simple", 85.9, 75.5),
    _official("large", "simple", 303.5, 78.2),
    _official("huge", "simple", 631.1, 78.9),
    _plus("small", 24.3, 75.8),
    _plus("base", 90.0, 77.0),
    _plus("large", 308.5, 78.6),
    _plus("huge", 637.2, 79.4),
)


def _hub(name: str, source: str, parameters: float, ap: float) -> KnownModel:
    return KnownModel(
        name, f"usyd-community/{source}", "pose", parameters, f"{ap} AP, COCO val2017", _README, _LICENCE
    )


TRANSFORMERS_VITPOSE = (
    _hub("ViTPose-B classic", "vitpose-base", 90.0, 75.8),
    _hub("ViTPose-B simple", "vitpose-base-simple", 85.9, 75.5),
    _hub("ViTPose-B, COCO + AIC + MPII", "vitpose-base-coco-aic-mpii", 90.0, 77.1),
    _hub("ViTPose+-S", "vitpose-plus-small", 24.3, 75.8),
    _hub("ViTPose+-B", "vitpose-plus-base", 90.0, 77.0),
    _hub("ViTPose+-L", "vitpose-plus-large", 308.5, 78.6),
    _hub("ViTPose+-H", "vitpose-plus-huge", 637.2, 79.4),
)

_TOKENPOSE_PAPER = "https://arxiv.org/abs/2104.03516"
#: The authors published code, but no weights that fit it.
_NONE = "no weights published"
TOKENPOSE = (
    KnownModel("TokenPose-T", "tokenpose_T", "pose", 5.9, "65.6 AP, COCO val2017", _TOKENPOSE_PAPER, _NONE),
    KnownModel(
        "TokenPose-S-v1", "tokenpose_S_v1", "pose", 6.7, "72.5 AP, COCO val2017", _TOKENPOSE_PAPER, _NONE
    ),
    KnownModel(
        "TokenPose-S-v2", "tokenpose_S_v2", "pose", 6.4, "73.5 AP, COCO val2017", _TOKENPOSE_PAPER, _NONE
    ),
)
