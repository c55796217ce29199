"""COCO's panoptic files for a data set in COCO's layout, made of its masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from PIL import Image

from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.coco import read_coco

#: The category of all pixels outside masks.
GROUND = {"id": 50, "name": "ground", "isthing": 0}
#: Segment ids are spread over all three channels.
FACTOR = 70001


def write_png(path: Path, ids: Int[ndarray, "H W"]) -> None:
    """Write segment ids as colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)).save(path)


def write_panoptic(root: Path, split: SplitName = "val") -> Path:
    """Write the masks of a split as segments, and the rest as ground; return the JSON's path."""
    packed, name = read_coco(root, split), f"panoptic_{split}2017"
    listed: list[dict[str, Any]] = []
    for index in range(len(packed)):
        truth, record = packed.original(index), packed.image(index)
        assert truth.masks is not None
        ids = np.full((record.height, record.width), FACTOR)
        infos = [{"id": FACTOR, "category_id": GROUND["id"], "iscrowd": 0}]
        for m, mask in enumerate(truth.masks.numpy(), start=2):
            ids[mask] = m * FACTOR
            label = packed.categories[int(truth.labels[m - 2])]
            infos.append({"id": m * FACTOR, "category_id": label.id, "iscrowd": int(truth.is_crowd[m - 2])})
        file = Path(record.file_name).with_suffix(".png").name
        write_png(root / "annotations" / name / file, ids)
        there = set(np.unique(ids).tolist())
        kept = [info for info in infos if info["id"] in there]
        listed.append({"image_id": record.image_id, "file_name": file, "segments_info": kept})
    kinds = [{"id": c.id, "name": c.name, "isthing": 1} for c in packed.categories]
    document = {"images": [], "annotations": listed, "categories": [*kinds, GROUND]}
    path = root / "annotations" / f"{name}.json"
    path.write_text(json.dumps(document))
    return path
