"""What becomes of the settings of a ViTPose of transformers."""

from collections.abc import Mapping
from typing import Any

from mtvit_core.errors import CheckpointError
from mtvit_core.published.pixels import PIXEL_SETTINGS, RESAMPLE_SETTING
from mtvit_core.published.settings import SettingRules
from mtvit_core.published.source import Source

CONFIG = SettingRules(
    followed=frozenset({"backbone_config", "use_simple_decoder", "id2label", "edges"}),
    required={"scale_factor": (4,)},
    idle=frozenset({"initializer_range", "label2id"}),
)
#: Sizes of the backbone are those of the weights.
BACKBONE_CONFIG = SettingRules(
    followed=frozenset(
        {
            "image_size",
            "patch_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "mlp_ratio",
            "num_experts",
            "part_features",
            "qkv_bias",
            "out_features",
            "out_indices",
            "stage_names",
        }
    ),
    required={"hidden_act": ("gelu",), "num_channels": (3,)},
    # Of training; and the epsilon, which is the authors' 1e-6: no published model was trained with another.
    idle=frozenset(
        {
            "layer_norm_eps",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "initializer_range",
            "_out_features",
            "_out_indices",
        }
    ),
)
PROCESSOR = SettingRules(
    followed=PIXEL_SETTINGS | {"size"},
    required={"do_affine_transform": (True, None), "normalize_factor": (200.0, None)},
    # Crops are cut by an affine map alone, bilinear whatever ``resample`` says.
    idle=frozenset(
        {
            RESAMPLE_SETTING,
            "do_resize",
            "do_pad",
            "pad_size",
            "do_center_crop",
            "crop_size",
            "do_convert_rgb",
            "default_to_square",
            "data_format",
            "input_data_format",
            "device",
            "return_tensors",
            "disable_grouping",
            "image_seq_length",
            "image_processor_type",
        }
    ),
)


def check_taps(source: Source, settings: Mapping[str, Any], depth: int) -> None:
    """Refuse a head that reads another than the last block.

    Raises:
        CheckpointError: it does.
    """
    last = f"stage{depth}"
    stages = settings.get("out_features") or [last]
    indices = settings.get("out_indices") or [depth]
    found = {
        "out_features": (stages[-1], last),
        "out_indices": (indices[-1] % (depth + 1), depth),
    }
    for name, (value, allowed) in found.items():
        if value != allowed:
            raise CheckpointError(
                f"source {source.where}: config.json says {name} {value!r}, but only {allowed!r} can be "
                "converted; that is what all published ViTPose have."
            )


def check_size(source: Source, canvas: tuple[int, int]) -> None:
    """Refuse a processor that cuts crops of another size than the model takes.

    Raises:
        CheckpointError: it does.
    """
    size = source.processor.get("size")
    wanted = {"height": canvas[0], "width": canvas[1]}
    if size is not None and size not in (wanted, list(canvas)):
        raise CheckpointError(
            f"source {source.where}: its preprocessor_config.json has size {size!r:.80}, but the model takes "
            f"crops of {wanted}."
        )
