"""Tiny folders in the exact form of published sets, with two splits or more."""

from pathlib import Path

from support.data_sets.objects import BOXES, coco, dump, images, outline, people, points


def lvis(root: Path) -> None:
    """LVIS v1: no file names, lists of categories per image."""
    for seed, split in enumerate(("train", "val")):
        names = images(root, f"{split}2017", 3, seed)
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
        names = images(root, "images", 3, seed)
        document = people(names, CROWD_POSE, keypoints=lambda box: points(box, 14), num_keypoints=14)
        for entry in document["annotations"]:
            del entry["area"]
        for entry in document["images"]:
            entry["crowdIndex"] = 0.2
        dump(root / "json" / f"crowdpose_{split}.json", document)


def whole_body(root: Path) -> None:
    """COCO-WholeBody: feet, face and hands in lists of their own."""
    for seed, split in enumerate(("train", "val")):
        names = images(root, f"{split}2017", 3, seed)
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
        names = images(root, folder, 3, seed)
        document = people(names, (), keypoints=lambda box: points(box, 136))
        dump(root / f"halpe_{split}_v1.json", document)


def ap_10k(root: Path) -> None:
    """AP-10K: three ways to split, all images in ``data``."""
    for number in (1, 2, 3):
        for seed, split in enumerate(("train", "val", "test")):
            names = images(root, "data", 3, seed)
            document = coco(names, keypoints=lambda box: points(box, 17), num_keypoints=17)
            for entry in document["categories"]:
                entry |= {"keypoints": list(AP_10K), "skeleton": [[1, 2], [1, 3]]}
            dump(root / "annotations" / f"ap10k-{split}-split{number}.json", document)


def mpii(root: Path) -> None:
    """MPII as lists of people, a center, a scale and joints each."""
    for seed, split in enumerate(("train", "val")):
        people_ = []
        for name in images(root, "images", 3, seed):
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
