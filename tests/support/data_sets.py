"""Tiny folders in the exact form in which tools and sets of the field write them, with two splits or one."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
#: Boxes x y width height of the objects of every image, and their classes.
BOXES = ((4.0, 6.0, 20.0, 16.0), (30.0, 12.0, 24.0, 30.0))
CLASSES = ("cat", "dog")
Entry = dict[str, Any]


def image(path: Path, seed: int) -> Path:
    """Write an image of blocks of colour, which looks like no other one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(path)
    return path


def outline(box: Sequence[float]) -> list[float]:
    """Corners of a box as a flat outline."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def points(box: Sequence[float], count: int, first: float = 0.0) -> list[float]:
    """Labelled keypoints inside a box, x y v each."""
    x, y, w, h = box
    spots = [(i + 0.5) / count for i in range(count)]
    return [n for s in spots for n in (round(x + s * w + first, 3), round(y + s * h + first, 3), 2)]


def coco(names: Sequence[str], **more: Any) -> dict[str, Any]:
    """A COCO document of boxes; ``more`` are fields of each annotation, or functions of its box."""
    images = [
        {"id": i, "file_name": n, "width": WIDTH, "height": HEIGHT} for i, n in enumerate(names, start=1)
    ]
    annotations = [
        {
            "id": 2 * i + k + 1,
            "image_id": i + 1,
            "category_id": k + 1,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
            **{key: value(box) if callable(value) else value for key, value in more.items()},
        }
        for i in range(len(names))
        for k, box in enumerate(BOXES)
    ]
    categories = [{"id": k, "name": n, "supercategory": ""} for k, n in enumerate(CLASSES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def people(names: Sequence[str], schema: Sequence[str], **more: Any) -> dict[str, Any]:
    """A COCO document of people with keypoints; an empty list of names leaves them to others."""
    document = coco(names, **more)
    person: Entry = {"id": 1, "name": "person", "supercategory": "person", "skeleton": []}
    document["categories"] = [{**person, "keypoints": list(schema)} if schema else person]
    document["annotations"] = [{**entry, "category_id": 1} for entry in document["annotations"]]
    return document


def dump(path: Path, content: Any) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _images(root: Path, folder: str, count: int, seed: int) -> list[str]:
    return [image(root / folder / f"{seed}_{i}.png", 10 * seed + i).name for i in range(count)]


def roboflow(root: Path) -> None:
    """Roboflow's COCO export: a root category that owns nothing, ``valid``, images beside the file."""
    for seed, split in enumerate(("train", "valid", "test")):
        document = coco(_images(root, split, 3, seed), segmentation=[])
        document["categories"] = [
            {"id": 0, "name": "animals", "supercategory": "none"},
            *({**entry, "supercategory": "animals"} for entry in document["categories"]),
        ]
        dump(root / split / "_annotations.coco.json", document)


def cvat(root: Path) -> None:
    """CVAT's COCO export of tasks with the subsets that its dialog offers."""
    for seed, split in enumerate(("Train", "Validation")):
        names = _images(root, f"images/{split}", 3, seed)
        attributes = {"occluded": False, "rotation": 0.0}
        document = coco(names, segmentation=lambda box: [outline(box)], attributes=attributes)
        dump(root / "annotations" / f"instances_{split}.json", document)


def label_studio_coco(root: Path) -> None:
    """Label Studio's COCO export: ids from 0, backslashes, one split."""
    names = _images(root, "images", 5, 1)
    document = coco([f"images\\{name}" for name in names], segmentation=[], ignore=0)
    for key in ("images", "annotations", "categories"):
        for entry in document[key]:
            entry["id"] -= 1
    for entry in document["annotations"]:
        entry["image_id"] -= 1
        entry["category_id"] -= 1
    document["info"] = {"year": 2026, "version": "1.0", "description": "", "contributor": "Label Studio"}
    dump(root / "result.json", document)


def _shares(box: Sequence[float]) -> list[float]:
    x, y, w, h = box
    return [(x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT]


def _flat_shares(flat: Sequence[float]) -> list[float]:
    return [value / (WIDTH, HEIGHT)[place % 2] for place, value in enumerate(flat)]


def _labels(path: Path, row: Callable[[Sequence[float]], Sequence[float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [" ".join(map(str, (k, *row(box)))) for k, box in enumerate(BOXES)]
    path.write_text("\n".join(lines) + "\n")


def label_studio_yolo(root: Path) -> None:
    """Label Studio's YOLO export: notes.json, classes.txt, no yaml."""
    for name in _images(root, "images", 5, 1):
        _labels((root / "labels" / name).with_suffix(".txt"), _shares)
    notes = {"categories": [{"id": k, "name": n} for k, n in enumerate(CLASSES)], "info": {"year": 2026}}
    dump(root / "notes.json", notes)
    (root / "classes.txt").write_text("\n".join(CLASSES))


def ultralytics_detect(root: Path) -> None:
    """Roboflow's YOLO export: paths that begin with ``../`` though the folders lie beside the yaml."""
    for seed, split in enumerate(("train", "valid")):
        names = _images(root, f"{split}/images", 3, seed)
        for name in names[1:]:  # nobody is in the first
            _labels((root / split / "labels" / name).with_suffix(".txt"), _shares)
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
    )


def ultralytics_segment(root: Path) -> None:
    """Outlines; lists of images, as CVAT's export for Ultralytics has them."""
    for seed, split in enumerate(("train", "val")):
        names = _images(root, f"images/{split}", 3, seed)
        for name in names:
            _labels(
                (root / f"labels/{split}" / name).with_suffix(".txt"), lambda box: _flat_shares(outline(box))
            )
        (root / f"{split}.txt").write_text("\n".join(f"data/images/{split}/{name}" for name in names))
    (root / "data.yaml").write_text("names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\nval: val.txt\n")


def ultralytics_pose(root: Path) -> None:
    """Poses of four named keypoints; a root of another machine."""
    for seed, split in enumerate(("train", "val")):
        for name in _images(root, f"images/{split}", 3, seed):
            _labels((root / f"labels/{split}" / name).with_suffix(".txt"), _pose)
    (root / "animals.yaml").write_text(
        "path: /datasets/animals\ntrain: images/train\nval: images/val\nkpt_shape: [4, 3]\n"
        "flip_idx: [0, 2, 1, 3]\nnames: {0: cat, 1: dog}\n"
        "kpt_names: {0: [nose, ear-1, ear-2, tail], 1: [nose, ear-1, ear-2, tail]}\n"
    )


def _pose(box: Sequence[float]) -> list[float]:
    flat = points(box, 4)
    spots = [
        n
        for x, y, v in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        for n in (x / WIDTH, y / HEIGHT, v)
    ]
    return [*_shares(box), *spots]


def voc(root: Path) -> None:
    """Pascal VOC's folders, with lists of the splits."""
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (root / "Annotations").mkdir()
    for seed, split in enumerate(("train", "val")):
        names = _images(root, "JPEGImages", 3, seed)
        (lists / f"{split}.txt").write_text("\n".join(Path(name).stem for name in names) + "\n")
        for name in names:
            (root / "Annotations" / name).with_suffix(".xml").write_text(voc_xml(name))


def voc_xml(name: str, database: str = "Unknown", shift: int = 0) -> str:
    """An XML file as labelImg writes it."""
    objects = "".join(
        f"<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>{x + shift:g}</xmin><ymin>{y + shift:g}</ymin>"
        f"<xmax>{x + w:g}</xmax><ymax>{y + h:g}</ymax></bndbox></object>"
        for label, (x, y, w, h) in zip(CLASSES, BOXES, strict=True)
    )
    return (
        f"<annotation><folder>JPEGImages</folder><filename>{name}</filename><source><database>{database}"
        f"</database></source><size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        f"<segmented>0</segmented>{objects}</annotation>"
    )


def lvis(root: Path) -> None:
    """LVIS v1: no file names, lists of categories per image."""
    for seed, split in enumerate(("train", "val")):
        names = _images(root, f"{split}2017", 3, seed)
        document = coco(names, segmentation=lambda box: [outline(box)])
        for entry in document["images"]:
            name = entry.pop("file_name")
            entry["coco_url"] = f"http://images.example.org/{split}2017/{name}"
            entry |= {"neg_category_ids": [3], "not_exhaustive_category_ids": [2]}
        for entry in document["categories"]:
            entry |= {"frequency": "f", "synset": f"{entry['name']}.n.01"}
        document["categories"].append({"id": 3, "name": "owl", "frequency": "r", "synset": "owl.n.01"})
        document["annotations"].append({**document["annotations"][0], "id": 99, "category_id": 3})
        document["images"][0]["neg_category_ids"] = []
        dump(root / f"lvis_v1_{split}.json", document)


CROWD_POSE = (
    *(
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
    "head",
    "neck",
)
COCO_PERSON = (
    "nose",
    *(
        f"{side}_{part}"
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
AP_10K = (
    "left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw",
    "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
    "right_knee", "right_back_paw",
)  # fmt: skip


def crowd_pose(root: Path) -> None:
    """CrowdPose: no areas, a crowd index per image, three splits in one folder of images."""
    for seed, split in enumerate(("train", "val", "test")):
        names = _images(root, "images", 3, seed)
        document = people(names, CROWD_POSE, keypoints=lambda box: points(box, 14), num_keypoints=14)
        for entry in document["annotations"]:
            del entry["area"]
        for entry in document["images"]:
            entry["crowdIndex"] = 0.2
        dump(root / "json" / f"crowdpose_{split}.json", document)


def whole_body(root: Path) -> None:
    """COCO-WholeBody: feet, face and hands in lists of their own."""
    for seed, split in enumerate(("train", "val")):
        names = _images(root, f"{split}2017", 3, seed)
        document = people(
            names,
            COCO_PERSON,
            keypoints=lambda box: points(box, 17),
            num_keypoints=17,
            foot_kpts=lambda box: points(box, 6, 0.1),
            face_kpts=lambda box: points(box, 68, 0.2),
            lefthand_kpts=lambda box: points(box, 21, 0.3),
            righthand_kpts=[0.0] * 63,
            face_box=lambda box: list(box),
            foot_valid=True,
            face_valid=True,
            lefthand_valid=True,
            righthand_valid=False,
        )
        dump(root / "annotations" / f"coco_wholebody_{split}_v1.0.json", document)


def halpe(root: Path) -> None:
    """Halpe: 136 points without names; train images are HICO's, val images COCO's."""
    for seed, (split, folder) in enumerate({"train": "hico/images/train2015", "val": "val2017"}.items()):
        names = _images(root, folder, 3, seed)
        document = people(names, (), keypoints=lambda box: points(box, 136))
        dump(root / f"halpe_{split}_v1.json", document)


def ap_10k(root: Path) -> None:
    """AP-10K: three ways to split, all images in ``data``."""
    for number in (1, 2, 3):
        for seed, split in enumerate(("train", "val", "test")):
            names = _images(root, "data", 3, seed)
            document = coco(names, keypoints=lambda box: points(box, 17), num_keypoints=17)
            for entry in document["categories"]:
                entry |= {"keypoints": list(AP_10K), "skeleton": [[1, 2], [1, 3]]}
            dump(root / "annotations" / f"ap10k-{split}-split{number}.json", document)


def mpii(root: Path) -> None:
    """MPII as lists of people, a center, a scale and joints each."""
    for seed, split in enumerate(("train", "val")):
        people_ = []
        for name in _images(root, "images", 3, seed):
            for box in BOXES:
                flat = points(box, 16)
                people_.append(
                    {
                        "image": name,
                        "center": [box[0] + box[2] / 2, box[1] + box[3] / 2],
                        "scale": box[3] / 200,
                        "joints": [[x, y] for x, y in zip(flat[::3], flat[1::3], strict=True)],
                        "joints_vis": [1] * 15 + [0],
                    }
                )
        dump(root / "annotations" / f"mpii_{split}.json", people_)


def fiftyone(root: Path) -> None:
    """FiftyOne's COCO export: labels.json beside data."""
    dump(root / "labels.json", coco(_images(root, "data", 5, 1), segmentation=lambda box: [outline(box)]))


def cvat_masks(root: Path) -> None:
    """CVAT's COCO export of brushed masks: run lengths, all marked as crowds, empty info."""
    for seed, split in enumerate(("Train", "Validation")):
        document = coco(_images(root, f"images/{split}", 3, seed), iscrowd=1, segmentation=_runs)
        for entry in document["images"]:
            entry |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
        document["info"] = dict.fromkeys(("contributor", "date_created", "description", "url", "year"), "")
        dump(root / "annotations" / f"instances_{split}.json", document)


def _runs(box: Sequence[float]) -> Entry:
    x, y, w, h = map(int, box)
    below = HEIGHT - h
    counts = [x * HEIGHT + y, *[h, below] * (w - 1), h, (WIDTH - x - w) * HEIGHT + HEIGHT - y - h]
    return {"size": [HEIGHT, WIDTH], "counts": counts}


def darknet(root: Path) -> None:
    """CVAT's YOLO 1.1: labels beside the images, paths that begin with ``data/``."""
    for seed, split in enumerate(("train", "val")):
        names = _images(root, f"obj_{split}_data", 3, seed)
        for name in names:
            _labels((root / f"obj_{split}_data" / name).with_suffix(".txt"), _shares)
        (root / f"{split}.txt").write_text("".join(f"data/obj_{split}_data/{name}\n" for name in names))
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nval = data/val.txt\nnames = data/obj.names\nbackup = backup/\n"
    )


#: Writers by layout, with the tasks that such a folder teaches and a word of the line that is said.
LAYOUTS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "roboflow": (roboflow, "det", "Roboflow's COCO export"),
    "cvat": (cvat, "det,seg", "COCO files of two splits"),
    "cvat-masks": (cvat_masks, "det,seg", "COCO files of two splits"),
    "darknet": (darknet, "det", "Darknet's form"),
    "label-studio-coco": (label_studio_coco, "det", "one COCO file with its images"),
    "label-studio-yolo": (label_studio_yolo, "det", "YOLO labels with notes.json"),
    "ultralytics-detect": (ultralytics_detect, "det", "Ultralytics' data.yaml"),
    "ultralytics-segment": (ultralytics_segment, "det,seg", "Ultralytics' data.yaml"),
    "ultralytics-pose": (ultralytics_pose, "det,pose", "4 keypoints"),
    "voc": (voc, "det", "Pascal VOC's XML files"),
    "lvis": (lvis, "det,seg", "LVIS"),
    "crowdpose": (crowd_pose, "det,pose", "CrowdPose"),
    "whole-body": (whole_body, "det,pose", "COCO-WholeBody"),
    "halpe": (halpe, "det,pose", "Halpe"),
    "ap-10k": (ap_10k, "det,pose", "AP-10K"),
    "mpii": (mpii, "det,pose", "MPII's lists of people"),
    "fiftyone": (fiftyone, "det,seg", "one COCO file with its images"),
}
