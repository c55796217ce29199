"""The data sets that ViTPose and TokenPose were trained on; first those of the experts of ViTPose+."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mtvit_core.errors import CheckpointError, ConfigError, did_you_mean
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_pose.published.whole_body import WHOLE_BODY


@dataclass(frozen=True)
class PoseDataset:
    """One of them.

    Attributes:
        name: What users call it.
        categories: Its classes; one has keypoints.
        codec: How crops are cut, and keypoints drawn and read, by the authors' configuration of ViTPose.
        classes: What that configuration calls its data set.
    """

    name: str
    categories: Categories
    codec: Literal["udp", "msra"]
    classes: tuple[str, ...]

    @property
    def keypoints(self) -> int:
        """Number of keypoints."""
        return self.categories.max_keypoints


_AIC = KeypointSchema(
    names=(
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    skeleton=(
        (2, 1), (1, 0), (0, 13), (13, 3), (3, 4), (4, 5), (8, 7), (7, 6), (6, 9), (9, 10), (10, 11),
        (12, 13), (0, 6), (3, 9),
    ),
    flip_pairs=((0, 3), (1, 4), (2, 5), (6, 9), (7, 10), (8, 11)),
    sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
        0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
)  # fmt: skip
_MPII = KeypointSchema(
    names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
        "left_elbow", "left_wrist",
    ),
    skeleton=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10),
        (8, 13), (13, 14), (14, 15),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    # MPII has none of its own; these are those that mmpose derives from COCO's.
    sigmas=(
        0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026, 0.062, 0.072, 0.179, 0.179,
        0.072, 0.062,
    ),
)  # fmt: skip
_AP10K = KeypointSchema(
    names=(
        "L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw", "R_Shoulder",
        "R_Elbow", "R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw", "R_Hip", "R_Knee", "R_B_Paw",
    ),
    skeleton=(
        (0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (5, 6), (6, 7), (3, 8), (8, 9), (9, 10), (4, 11),
        (11, 12), (12, 13), (4, 14), (14, 15), (15, 16),
    ),
    flip_pairs=((0, 1), (5, 8), (6, 9), (7, 10), (11, 14), (12, 15), (13, 16)),
    # Those of mmpose's configuration, which takes COCO's for the joints alike.
    sigmas=(
        0.025, 0.025, 0.026, 0.035, 0.035, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089,
        0.107, 0.087, 0.089,
    ),
)  # fmt: skip
_CROWDPOSE = KeypointSchema(
    names=(
        *(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
          for side in ("left", "right")),
        "top_head", "neck",
    ),
    skeleton=(
        (10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5),
        (12, 13), (0, 13), (1, 13),
    ),
    flip_pairs=tuple((i, i + 1) for i in range(0, 12, 2)),
    sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ),
)  # fmt: skip


def _one(name: str, schema: KeypointSchema) -> Categories:
    return Categories((Category(1, name, schema),))


#: In the order of the experts of ViTPose+; the head of the first is ``keypoint_head``, the others follow.
EXPERTS = (
    PoseDataset("coco", COCO_CATEGORIES, "udp", ("TopDownCocoDataset",)),
    PoseDataset("aic", _one("person", _AIC), "msra", ("TopDownAicDataset",)),
    PoseDataset("mpii", _one("person", _MPII), "udp", ("TopDownMpiiDataset",)),
    PoseDataset("ap10k", _one("animal", _AP10K), "msra", ("AnimalAP10KDataset",)),
    PoseDataset("apt36k", _one("animal", _AP10K), "msra", ()),  # trained as AP-10K
    PoseDataset("wholebody", _one("person", WHOLE_BODY), "msra", ("TopDownCocoWholeBodyDataset",)),
)
#: Trained on alone.
CROWDPOSE = PoseDataset("crowdpose", _one("person", _CROWDPOSE), "msra", ("TopDownCrowdPoseDataset",))
DATASETS = (*EXPERTS, CROWDPOSE)


def dataset_named(name: str, where: str) -> PoseDataset:
    """Return a data set by its name.

    Args:
        name: What the user asked for.
        where: The source, for messages.

    Raises:
        ConfigError: it is not one of them.
    """
    found = next((dataset for dataset in DATASETS if dataset.name == name), None)
    if found is None:
        names = [dataset.name for dataset in DATASETS]
        raise ConfigError(
            f"source {where}: dataset {name!r} is not one of {', '.join(names)}.{did_you_mean(name, names)}"
        )
    return found


def dataset_with(keypoints: int, where: str, among: Sequence[PoseDataset] = DATASETS) -> PoseDataset:
    """Return the only data set with so many keypoints.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    found = [dataset for dataset in among if dataset.keypoints == keypoints]
    if not found:
        counts = ", ".join(f"{dataset.name} {dataset.keypoints}" for dataset in among)
        raise CheckpointError(
            f"source {where}: its head draws {keypoints} keypoints, and no known data set has as many "
            f"({counts})."
        )
    if len(found) > 1:
        *names, last = (dataset.name for dataset in found)
        raise CheckpointError(
            f"source {where}: its head draws {keypoints} keypoints, as {', '.join(names)} and {last} have; "
            f"say which, with mtvit convert --dataset {last} or mtvit_core.convert(..., dataset={last!r})."
        )
    return found[0]
