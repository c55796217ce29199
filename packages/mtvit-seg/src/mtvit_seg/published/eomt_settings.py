"""What becomes of the settings of an EoMT of transformers."""

from mtvit_core.errors import CheckpointError
from mtvit_core.published.pixels import PIXEL_SETTINGS, RESAMPLE_SETTING
from mtvit_core.published.settings import SettingRules
from mtvit_core.published.source import Source

PATCH = 16
#: How ``config.json`` calls what cost and loss follow, and ours.
LOSS = {
    "no_object_weight": ("no_object",),
    "class_weight": ("cost_class", "loss_class"),
    "mask_weight": ("cost_mask", "loss_mask"),
    "dice_weight": ("cost_dice", "loss_dice"),
    "train_num_points": ("points",),
    "oversample_ratio": ("oversample",),
    "importance_sample_ratio": ("importance",),
}
_SIZES = {
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "layer_norm_eps",
    "image_size",
    "num_blocks",
    "num_queries",
    "num_register_tokens",
    "id2label",
}
_SAME = {
    "hidden_act": ("gelu",),
    "patch_size": (PATCH, [PATCH, PATCH]),
    "num_channels": (3,),
    "num_upscale_blocks": (2,),
}
#: Of training: dropout and first weights; and the names' inverse.
_IDLE = {
    "hidden_dropout_prob",
    "attention_dropout",
    "drop_path_rate",
    "initializer_range",
    "layerscale_value",
    "label2id",
}
DINOV2_CONFIG = SettingRules(
    followed=frozenset({*_SIZES, *LOSS, "mlp_ratio", "use_swiglu_ffn"}), required=_SAME, idle=frozenset(_IDLE)
)
DINOV3_CONFIG = SettingRules(
    followed=frozenset({*_SIZES, *LOSS, "intermediate_size", "rope_parameters", "pos_embed_rescale"}),
    required={
        **_SAME,
        "use_gated_mlp": (False,),
        "key_bias": (False,),
        "query_bias": (True,),
        "value_bias": (True,),
        "proj_bias": (True,),
        "mlp_bias": (True,),
        "pos_embed_shift": (None,),
        "pos_embed_jitter": (None,),
    },
    idle=frozenset({*_IDLE, "default_theta"}),
)
PROCESSOR = SettingRules(
    followed=PIXEL_SETTINGS | {RESAMPLE_SETTING, "size", "do_split_image"},
    required={"do_resize": (True, None)},
    # An image that fills no square is padded whatever ``do_pad`` says: the source itself takes no other.
    idle=frozenset(
        {
            "do_pad",
            "pad_size",
            "ignore_index",
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


def check_size(source: Source, canvas: tuple[int, int]) -> None:
    """Refuse a processor that makes images of another size than the model takes.

    Args:
        source: The source.
        canvas: Rows and columns that its positions are for.

    Raises:
        CheckpointError: it does.
    """
    size, side = source.processor.get("size"), min(canvas)
    wanted = {"shortest_edge": side, "longest_edge": max(canvas)}
    allowed = (None, side, wanted, {"shortest_edge": side}, {"shortest_edge": side, "longest_edge": None})
    if size not in allowed:
        raise CheckpointError(
            f"source {source.where}: its preprocessor_config.json has size {size!r:.80}, but the model is "
            f"made for {wanted}."
        )


def check_rotary(source: Source) -> None:
    """Refuse rotary positions of another kind than DINOv3's.

    Raises:
        CheckpointError: they are.
    """
    kind = (source.config.get("rope_parameters") or {}).get("rope_type", "default")
    if kind != "default":
        raise CheckpointError(
            f"source {source.where}: its config.json has rope_parameters of rope_type {kind!r:.40}; only "
            "'default' is known here."
        )
