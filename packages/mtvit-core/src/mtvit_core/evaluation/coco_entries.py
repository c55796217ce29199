"""Annotations of one image as COCO entries: bbox x y w h, RLE segmentation, flat keypoints."""

from typing import Any, Literal

from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.masks import encode_rle

IouType = Literal["bbox", "segm", "keypoints"]
#: An annotation or a result.
Entry = dict[str, Any]


def annotation_entries(annotations: Annotations, categories: Categories, kind: IouType) -> list[Entry]:
    """Return what COCOeval compares results with.

    Args:
        annotations: Instances of one image, in original pixels.
        categories: Classes that the labels index.
        kind: What is compared; entries carry nothing else. For keypoints, only instances of categories that
            have a schema are returned.

    Returns:
        One entry per instance, without image id and annotation id. Coordinates and areas keep the precision
        of the
        tensors: they become Python floats before anything is computed from them.
    """
    rows = list(range(len(annotations)))
    if kind == "keypoints":
        rows = [i for i in rows if int(annotations.labels[i]) in categories.keypoint_labels]
    return [_entry(annotations, categories, i, kind) for i in rows]


def _entry(annotations: Annotations, categories: Categories, row: int, kind: IouType) -> Entry:
    category = categories[int(annotations.labels[row])]
    x0, y0, x1, y1 = annotations.boxes[row].tolist()
    entry: Entry = {
        "category_id": category.id,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(annotations.areas[row]),
        "iscrowd": int(annotations.is_crowd[row]),
    }
    if kind == "segm":
        assert annotations.masks is not None
        rle = encode_rle(annotations.masks[row].cpu().numpy())
        entry["segmentation"] = {"size": list(rle.size), "counts": rle.counts}
    if kind == "keypoints":
        assert annotations.keypoints is not None
        assert category.keypoints is not None
        points = annotations.keypoints[row, : len(category.keypoints.names)]
        entry["keypoints"] = points.flatten().tolist()
        entry["num_keypoints"] = int((points[:, 2] > 0).sum())
    return entry
