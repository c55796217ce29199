"""Published segmentation models."""

from mtvit_core.published.format import KnownModel

_ZOO = "https://github.com/tue-mps/eomt/blob/master/model_zoo"


def _eomt(name: str, source: str, parameters: float, accuracy: str) -> KnownModel:
    return KnownModel(name, f"tue-mps/{source}", "seg", parameters, accuracy, f"{_ZOO}/dinov2.md", "MIT")


def _dinov3(name: str, source: str, parameters: float, accuracy: str) -> KnownModel:
    licence = "MIT; base weights: DINOv3 License"
    where = f"{_ZOO}/dinov3.md"
    return KnownModel(f"{name} (DINOv3)", f"tue-mps/{source}", "seg", parameters, accuracy, where, licence)


_COCO, _ADE, _INSTANCE = "PQ, COCO val2017", "PQ, ADE20K val", "mask AP, COCO val2017"
EOMT_MODELS = (
    _eomt("EoMT-S panoptic 640", "coco_panoptic_eomt_small_640_2x", 24.0, f"46.7 {_COCO}"),
    _eomt("EoMT-B panoptic 640", "coco_panoptic_eomt_base_640_2x", 93.7, f"51.6 {_COCO}"),
    _eomt("EoMT-L panoptic 640", "coco_panoptic_eomt_large_640", 316.7, f"56.0 {_COCO}"),
    _eomt("EoMT-L panoptic 1280", "coco_panoptic_eomt_large_1280", 321.6, f"58.3 {_COCO}"),
    _eomt("EoMT-g panoptic 640", "coco_panoptic_eomt_giant_640", 1163.6, f"57.0 {_COCO}"),
    _eomt("EoMT-g panoptic 1280", "coco_panoptic_eomt_giant_1280", 1171.0, f"59.2 {_COCO}"),
    _eomt("EoMT-L instance 640", "coco_instance_eomt_large_640", 316.6, f"45.2 {_INSTANCE}"),
    _eomt("EoMT-L instance 1280", "coco_instance_eomt_large_1280", 321.6, f"48.8 {_INSTANCE}"),
    _eomt("EoMT-L panoptic ADE20K 640", "ade20k_panoptic_eomt_large_640", 316.7, f"50.6 {_ADE}"),
    _eomt("EoMT-L panoptic ADE20K 1280", "ade20k_panoptic_eomt_large_1280", 321.6, f"51.7 {_ADE}"),
    _eomt("EoMT-g panoptic ADE20K 640", "ade20k_panoptic_eomt_giant_640", 1163.6, f"51.3 {_ADE}"),
    _eomt("EoMT-g panoptic ADE20K 1280", "ade20k_panoptic_eomt_giant_1280", 1171.0, f"52.8 {_ADE}"),
    _eomt("EoMT-L semantic ADE20K 512", "ade20k_semantic_eomt_large_512", 316.0, "58.4 mIoU, ADE20K val"),
    _eomt(
        "EoMT-L semantic Cityscapes 1024",
        "cityscapes_semantic_eomt_large_1024",
        319.0,
        "84.2 mIoU, Cityscapes val",
    ),
)
#: Official files of differences to the weights of DINOv3.
EOMT_DINOV3_MODELS = (
    _dinov3("EoMT-S panoptic 640", "coco_panoptic_eomt_small_640_dinov3", 23.4, f"47.2 {_COCO}"),
    _dinov3("EoMT-B panoptic 640", "coco_panoptic_eomt_base_640_dinov3", 92.4, f"53.1 {_COCO}"),
    _dinov3("EoMT-L panoptic 640", "coco_panoptic_eomt_large_640_dinov3", 315.0, f"56.8 {_COCO}"),
    _dinov3("EoMT-L panoptic 1280", "coco_panoptic_eomt_large_1280_dinov3", 315.0, f"58.9 {_COCO}"),
    _dinov3("EoMT-L instance 640", "coco_instance_eomt_large_640_dinov3", 315.0, f"45.9 {_INSTANCE}"),
    _dinov3("EoMT-L instance 1280", "coco_instance_eomt_large_1280_dinov3", 315.0, f"49.9 {_INSTANCE}"),
    _dinov3("EoMT-L semantic 512", "ade_semantic_eomt_large_512_dinov3", 314.9, "59.5 mIoU, ADE20K val"),
)
