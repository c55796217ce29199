"""Tiny folders in the exact form in which tools of the field write them, with two splits or one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from support.data_sets.objects import (
    BOXES,
    CLASSES,
    HEIGHT,
    WIDTH,
    Entry,
    coco,
    dump,
    images,
    outline,
    points,
)


def roboflow(root: Path) -> None:
    """Roboflow's COCO export: a root category that owns nothing, ``valid``, images beside the file."""
    for seed, split in enumerate(("train", "valid", "test")):
        document = coco(images(root, split, 3, seed), segmentation=[])
        document["categories"] = [
            {"id": 0, "name": "animals", "supercategory": "none"},
            *({**entry, "supercategory": "animals"} for entry in document["categories"]),
        ]
        dump(root / split / "_annotations.coco.json", document)


def cvat(root: Path) -> None:
    """CVAT's COCO export of tasks with the subsets that its dialog offers."""
    for seed, split in enumerate(("Train", "Validation")):
        names = images(root, f"images/{split}", 3, seed)
        attributes = {"occluded": False, "rotation": 0.0}
        document = coco(names, segmentation=lambda box: [outline(box)], attributes=attributes)
        dump(root / "annotations" / f"instances_{split}.json", document)


def label_studio_coco(root: Path) -> None:
    """Label Studio's COCO export: ids from 0, backslashes, one split."""
    names = images(root, "images", 5, 1)
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
    for name in images(root, "images", 5, 1):
        _labels((root / "labels" / name).with_suffix(".txt"), _shares)
    notes = {"categories": [{"id": k, "name": n} for k, n in enumerate(CLASSES)], "info": {"year": 2026}}
    dump(root / "notes.json", notes)
    (root / "classes.txt").write_text("\n".join(CLASSES))


def ultralytics_detect(root: Path) -> None:
    """Roboflow's YOLO export: paths that begin with ``../`` though the folders lie beside the yaml."""
    for seed, split in enumerate(("train", "valid")):
        names = images(root, f"{split}/images", 3, seed)
        for name in names[1:]:  # nobody is in the first
            _labels((root / split / "labels" / name).with_suffix(".txt"), _shares)
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
    )


def ultralytics_segment(root: Path) -> None:
    """Outlines; lists of images, as CVAT's export for Ultralytics has them."""
    for seed, split in enumerate(("train", "val")):
        names = images(root, f"images/{split}", 3, seed)
        for name in names:
            _labels(
                (root / f"labels/{split}" / name).with_suffix(".txt"), lambda box: _flat_shares(outline(box))
            )
        (root / f"{split}.txt").write_text("\n".join(f"data/images/{split}/{name}" for name in names))
    (root / "data.yaml").write_text("names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\nval: val.txt\n")


def ultralytics_pose(root: Path) -> None:
    """Poses of four named keypoints; a root of another machine."""
    for seed, split in enumerate(("train", "val")):
        for name in images(root, f"images/{split}", 3, seed):
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
        names = images(root, "JPEGImages", 3, seed)
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


def fiftyone(root: Path) -> None:
    """FiftyOne's COCO export: labels.json beside data."""
    dump(root / "labels.json", coco(images(root, "data", 5, 1), segmentation=lambda box: [outline(box)]))


def cvat_masks(root: Path) -> None:
    """CVAT's COCO export of brushed masks: run lengths, all marked as crowds, empty info."""
    for seed, split in enumerate(("Train", "Validation")):
        document = coco(images(root, f"images/{split}", 3, seed), iscrowd=1, segmentation=_runs)
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
        names = images(root, f"obj_{split}_data", 3, seed)
        for name in names:
            _labels((root / f"obj_{split}_data" / name).with_suffix(".txt"), _shares)
        (root / f"{split}.txt").write_text("".join(f"data/obj_{split}_data/{name}\n" for name in names))
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nval = data/val.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
