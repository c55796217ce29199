"""Our scores equal those of pycocotools run on the original files of coco-mini, by either engine."""

import contextlib
import copy
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_core.structures.masks import Rle, counts_to_rle, decode_rle, encode_rle, polygons_to_rle
from support.tasks.coco_scores import HAS, hold_to_pycocotools, meta

FILES = {"bbox": "instances_val2017", "segm": "instances_val2017", "keypoints": "person_keypoints_val2017"}


def categories_of(data: dict[str, Any]) -> Categories:
    schemas = {c["id"]: COCO_PERSON for c in data["categories"] if "keypoints" in c}
    return Categories(tuple(Category(c["id"], c["name"], schemas.get(c["id"])) for c in data["categories"]))


def rle_of(entry: dict[str, Any], image: dict[str, Any]) -> Rle:
    found = entry["segmentation"]
    if isinstance(found, dict):
        return counts_to_rle(found["counts"], image["height"], image["width"])
    return polygons_to_rle(found, image["height"], image["width"])


def read(data: dict[str, Any], kind: str) -> tuple[list[Annotations], list[ImageMeta]]:
    """Turn a COCO file into annotations in original pixels, in the precision that the trainer uses."""
    categories = categories_of(data)
    annotations, metas = [], []
    for image in data["images"]:
        rows = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in rows)]
        masks = [decode_rle(rle_of(a, image)) for a in rows] if kind == "segm" else []
        points = [np.reshape(a["keypoints"], (17, 3)) for a in rows] if kind == "keypoints" else []
        size = (len(rows), image["height"], image["width"])
        annotations.append(
            Annotations(
                boxes=torch.tensor(boxes).reshape(-1, 4).float(),
                labels=torch.tensor(
                    [categories.label_of_id[a["category_id"]] for a in rows], dtype=torch.int64
                ),
                masks=torch.from_numpy(np.reshape(masks, size).astype(bool)) if kind == "segm" else None,
                keypoints=torch.tensor(np.array(points)).reshape(-1, 17, 3).float()
                if kind == "keypoints"
                else None,
                is_crowd=torch.tensor([bool(a["iscrowd"]) for a in rows], dtype=torch.bool),
                areas=torch.tensor([a["area"] for a in rows]).float(),
                ids=torch.tensor([a["id"] for a in rows], dtype=torch.int64),
                has=frozenset({HAS[kind]}),
            )
        )
        metas.append(meta(image["id"], image["height"], image["width"]))
    return annotations, metas


def perturbed(data: dict[str, Any], kind: str, seed: int) -> list[dict[str, Any]]:
    """Shift, drop, double, mislabel and invent results; all numbers in double precision."""
    rng = np.random.default_rng(seed)
    images = {image["id"]: image for image in data["images"]}
    ids = [category["id"] for category in data["categories"]]
    results = []
    for entry in data["annotations"] * 2:
        if rng.random() < 0.25:
            continue
        image = images[entry["image_id"]]
        label = rng.choice(ids) if rng.random() < 0.1 else entry["category_id"]
        result = {"image_id": image["id"], "category_id": int(label), "score": float(rng.random())}
        scale = rng.exponential(0.08)
        x, y, w, h = np.array(entry["bbox"]) * (1 + scale * rng.normal(size=4))
        if kind == "bbox":
            # Results are clipped to their image by construction.
            x0, x1 = np.clip([x, x + max(w, 0.1)], 0, image["width"])
            y0, y1 = np.clip([y, y + max(h, 0.1)], 0, image["height"])
            result["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        if kind == "segm":
            shift = np.round(scale * rng.normal(size=2) * np.array(entry["bbox"][3:1:-1])).astype(int)
            moved = np.roll(decode_rle(rle_of(entry, image)), tuple(shift), (0, 1))
            rle = encode_rle(moved)
            result["segmentation"] = {"size": list(rle.size), "counts": rle.counts}
        if kind == "keypoints":
            points = np.reshape(entry["keypoints"], (17, 3)).astype(float)
            points[points[:, 2] == 0, :2] = [x + w / 2, y + h / 2]
            points[:, :2] += rng.normal(size=(17, 2)) * scale * max(w, h) / 2
            points[:, 2] = rng.random(17)
            result["keypoints"] = points.flatten().tolist()
        results.append(result)
    return results


def as_instances(results: list[dict[str, Any]], meta: ImageMeta, categories: Categories) -> Instances:
    """Turn COCO results of one image into what a model returns, boxes beside masks and keypoints included."""
    rows = [result for result in results if result["image_id"] == meta.image_id]
    boxes = [result.get("bbox", [1.0, 2.0, 3.0, 4.0]) for result in rows]
    rles = [result.get("segmentation") for result in rows]
    points = [np.reshape(result.get("keypoints", [math.nan] * 51), (17, 3)) for result in rows]
    return Instances(
        height=meta.height,
        width=meta.width,
        categories=categories,
        labels=torch.tensor(
            [categories.label_of_id[result["category_id"]] for result in rows], dtype=torch.int64
        ),
        scores=torch.tensor([result["score"] for result in rows]).float(),
        boxes=torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).reshape(-1, 4).float(),
        tasks=("mine",) * len(rows),
        rles=tuple(None if rle is None else Rle(tuple(rle["size"]), rle["counts"]) for rle in rles),
        keypoints=torch.tensor(np.array(points)).reshape(-1, 17, 3).float(),
        image_id=meta.image_id,
        file_name=meta.file_name,
    )


def reference(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> dict[str, float]:
    """Run pycocotools with its defaults on the file's own numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(data)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "", "", "AR"]
    if kind == "keypoints":
        names = ["AP", "AP50", "AP75", "APm", "APl", "AR"]
    return {name: float(value) for name, value in zip(names, evaluation.stats, strict=False) if name}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_scores_equal_pycocotools_on_the_original_file(
    coco_mini: Path, kind: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((coco_mini / "annotations" / f"{FILES[kind]}.json").read_text())
    assert any(a["iscrowd"] for a in data["annotations"])
    categories = categories_of(data)
    annotations, metas = read(data, kind)
    results = perturbed(data, kind, seed)
    evaluator = CocoEvaluator("mine", kind, categories)
    for start in range(0, len(metas), 16):
        batch = slice(start, start + 16)
        found = [as_instances(results, m, categories) for m in metas[batch]]
        evaluator.update([ImageResult(one) for one in found], annotations[batch], metas[batch])
    hold_to_pycocotools(evaluator)
    expected = reference(data, results, kind)
    assert 0.1 < expected["AP"] < 0.9
    assert evaluator.compute() == pytest.approx(expected, abs=1e-6)
    assert list(evaluator.compute()) == list(expected)
    assert capsys.readouterr().out == ""
