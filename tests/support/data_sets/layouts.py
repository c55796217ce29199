"""The tiny folders by their layouts, and what is said of them."""

from collections.abc import Callable
from pathlib import Path

from support.data_sets.published import ap_10k, crowd_pose, halpe, lvis, mpii, whole_body
from support.data_sets.tools import (
    cvat,
    cvat_masks,
    darknet,
    fiftyone,
    label_studio_coco,
    label_studio_yolo,
    roboflow,
    ultralytics_detect,
    ultralytics_pose,
    ultralytics_segment,
    voc,
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
