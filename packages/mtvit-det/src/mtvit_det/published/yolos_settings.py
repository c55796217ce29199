"""What becomes of the settings of a YOLOS of transformers, and how its images are resized."""

from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_core.published.pixels import PIXEL_SETTINGS, RESAMPLE_SETTING, resample_of
from mtvit_core.published.settings import SettingRules
from mtvit_core.published.source import Source
from mtvit_core.structures.framing import Framing, Inside, OwnSize, ShortSide, Stretch

PATCH = 16
CONFIG = SettingRules(
    followed=frozenset(
        {
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "layer_norm_eps",
            "image_size",
            "qkv_bias",
            "num_detection_tokens",
            "use_mid_position_embeddings",
            "id2label",
        }
    ),
    required={"hidden_act": ("gelu",), "patch_size": (PATCH, [PATCH, PATCH]), "num_channels": (3,)},
    # Of training: dropout, first weights, cost and loss; and the names' inverse.
    idle=frozenset(
        {
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "initializer_range",
            "auxiliary_loss",
            "class_cost",
            "bbox_cost",
            "giou_cost",
            "bbox_loss_coefficient",
            "giou_loss_coefficient",
            "eos_coefficient",
            "label2id",
        }
    ),
)
PROCESSOR = SettingRules(
    followed=PIXEL_SETTINGS | {RESAMPLE_SETTING, "do_resize", "size", "max_size"},
    required={
        # Boxes count in the padded canvas, and nothing in a result tells how large it was.
        "pad_size": (None,),
        "image_processor_type": (
            "YolosImageProcessor",
            "YolosImageProcessorFast",
            "YolosImageProcessorPil",
            "YolosFeatureExtractor",
        ),
        "feature_extractor_type": ("YolosFeatureExtractor", "YolosImageProcessor"),
    },
    # Padding of a batch to its largest image, which a single image does not have; steps that it never takes;
    # how annotations and tensors are passed.
    idle=frozenset(
        {
            "do_pad",
            "pad_and_return_pixel_mask",
            "do_center_crop",
            "crop_size",
            "do_convert_annotations",
            "do_convert_rgb",
            "format",
            "default_to_square",
            "data_format",
            "input_data_format",
            "device",
            "return_tensors",
            "disable_grouping",
            "image_seq_length",
        }
    ),
)
#: Short and long side in pixels where a processor says none, and the long side of one that says a number.
_SHORT, _LONG = 800, 1333
_FORMS = "a number, shortest_edge and longest_edge, height and width, or max_height and max_width"


def processor_framing(source: Source) -> Framing:
    """Return how ``preprocessor_config.json`` resizes images.

    Raises:
        CheckpointError: in a way that is not known here.
    """
    said, resample = source.processor, resample_of(source)
    if said.get("do_resize") is not None and not said["do_resize"]:
        return OwnSize(PATCH, resample)
    size = said.get("size")
    if size is None:
        size = {"shortest_edge": _SHORT, "longest_edge": _LONG}
    elif isinstance(size, int):  # older files
        size = {"shortest_edge": size, "longest_edge": said.get("max_size", _LONG)}
    elif isinstance(size, list) and len(size) == 2:
        size = {"height": size[0], "width": size[1]}
    sides = _sides(size) or {}
    match sorted(sides):
        case ["longest_edge", "shortest_edge"]:
            return ShortSide(sides["shortest_edge"], sides["longest_edge"], PATCH, resample)
        case ["height", "width"]:
            return Stretch(sides["height"], sides["width"], PATCH, resample)
        case ["max_height", "max_width"]:
            return Inside(sides["max_height"], sides["max_width"], PATCH, resample)
    raise CheckpointError(
        f"source {source.where}: its preprocessor_config.json has size {said.get('size')!r:.80}; {_FORMS}, "
        "of at least 1 pixel, are known here."
    )


def _sides(size: Any) -> dict[str, int] | None:
    """The sides of a size by name, but those that are null; None where one is no number of pixels."""
    if not isinstance(size, dict):
        return None
    sides = {key: side for key, side in size.items() if side is not None}
    is_whole = all(isinstance(side, int) and side >= 1 for side in sides.values())
    return sides if is_whole and not any(isinstance(side, bool) for side in sides.values()) else None
