"""Sets of keypoints that the field shares: names, OKS constants as published, and what a mirror swaps.

Sources: the annotation files of COCO (Lin et al. 2014), COCO-WholeBody (Jin et al. 2020), CrowdPose (Li et
al. 2019), AI Challenger (Wu et al. 2017), Halpe (Fang et al. 2022), AP-10K (Yu et al. 2021) and MPII
(Andriluka et al. 2014); sigmas as MMPose lists them (MPII publishes none).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mtvit_core.sides import words
from mtvit_core.structures.keypoints import COCO_PERSON

Bones = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class KnownPoints:
    """A set of keypoints.

    Attributes:
        title: What messages call it.
        names: Names in the order of annotations.
        sigmas: Constants of OKS.
        unnamed: First of 68 landmarks of the face, which are numbered, so that their names tell no side; None
            where there are none.
        bones: Pairs of 0-based indices, for pictures.
        area_share: Share of its box that stands for an object's area where none is given, as its own
            evaluation has it.
    """

    title: str
    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    unnamed: int | None = None
    bones: Bones = ()
    area_share: float = 1.0

    @property
    def face_pairs(self) -> Bones:
        """Landmarks of the face that a mirror swaps."""
        first = self.unnamed
        return () if first is None else tuple((first + a, first + b) for a, b in _FACE_PAIRS)


def _sided(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


def _hand(side: str) -> tuple[str, ...]:
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    return (f"{side}_hand_root", *(f"{side}_{finger}{joint}" for finger in fingers for joint in range(1, 5)))


def _hand_bones(root: int) -> Bones:
    fingers = [(root, *range(root + 1 + 4 * f, root + 5 + 4 * f)) for f in range(5)]
    return tuple(bone for chain in fingers for bone in pairwise(chain))


#: Landmarks of the face in 300-W's order (Sagonas et al. 2013): jaw, brows, nostrils, eyes, mouth.
_FACE_PAIRS: Bones = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip
_FACE = tuple(f"face-{i}" for i in range(68))
_BODY = COCO_PERSON.names
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
#: Of COCO-WholeBody, in thousandths.
_FACE_SIGMAS = (
    42, 43, 44, 43, 40, 35, 31, 25, 20, 23, 29, 32, 37, 38, 43, 41, 45,
    13, 12, 11, 11, 12, 12, 11, 11, 13, 15, 9, 7, 7, 7, 12, 9, 8,
    16, 10, 17, 11, 9, 11, 9, 7, 13, 8, 11, 12, 10, 34, 8, 8, 9,
    8, 8, 7, 10, 8, 9, 9, 9, 7, 7, 8, 11, 8, 8, 8, 10, 8,
)  # fmt: skip
_HAND_SIGMAS = (29, 22, 35, 37, 47, 26, 25, 24, 35, 18, 24, 22, 26, 17, 21, 21, 32, 20, 19, 22, 31)

WHOLE_BODY = KnownPoints(
    "COCO-WholeBody",
    (
        *_BODY,
        *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
        *_FACE,
        *_hand("left"),
        *_hand("right"),
    ),
    (
        *COCO_PERSON.sigmas,
        *_FOOT_SIGMAS,
        *(s / 1000 for s in (*_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS)),
    ),
    23,
    (
        *COCO_PERSON.skeleton,
        *((ankle, ankle + 2 + k if ankle == 15 else ankle + 4 + k) for ankle in (15, 16) for k in range(3)),
        *_hand_bones(91),
        *_hand_bones(112),
    ),
)
_HALPE_BODY = (*_BODY, "head", "neck", "hip", *_sided("big_toe", "small_toe", "heel"))
_HALPE_BONES: Bones = (
    *COCO_PERSON.skeleton,
    *((17, 18), (18, 19)),
    *((15, toe) for toe in (20, 22, 24)),
    *((16, toe) for toe in (21, 23, 25)),
)
HALPE = KnownPoints(
    "Halpe",
    (*_HALPE_BODY, *_FACE, *_hand("left"), *_hand("right")),
    (*COCO_PERSON.sigmas, *(0.08,) * 3, *(0.089,) * 6, *(0.015,) * 110),
    26,
    (*_HALPE_BONES, *_hand_bones(94), *_hand_bones(115)),
)
HALPE_BODY = KnownPoints(
    "Halpe",
    _HALPE_BODY,
    (*COCO_PERSON.sigmas, 0.026, 0.026, 0.066, *(0.079,) * 6),
    bones=_HALPE_BONES,
)
CROWD_POSE = KnownPoints(
    "CrowdPose",
    (*_sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), "head", "neck"),
    (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    area_share=0.53,
)
AI_CHALLENGER = KnownPoints(
    "AI Challenger",
    (
        *(f"{side}_{part}" for side in ("right", "left") for part in ("shoulder", "elbow", "wrist")),
        *(f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "ankle")),
        "head_top",
        "neck",
    ),
    (
        *(0.0139, 0.0152, 0.0106, 0.0142, 0.0150, 0.0140),
        *(0.0391, 0.0369, 0.0198, 0.0384, 0.0341, 0.0242, 0.0129, 0.0124),
    ),
    area_share=0.53,
)
MPII = KnownPoints(
    "MPII",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "upper_neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
    (
        0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026,
        0.062, 0.072, 0.179, 0.179, 0.072, 0.062,
    ),
    bones=(
        (0, 1), (1, 2), (2, 6), (5, 4), (4, 3), (3, 6), (6, 7), (7, 8), (8, 9),
        (8, 12), (12, 11), (11, 10), (8, 13), (13, 14), (14, 15),
    ),
)  # fmt: skip
AP_10K = KnownPoints(
    "AP-10K",
    (
        "left_eye", "right_eye", "nose", "neck", "root_of_tail",
        "left_shoulder", "left_elbow", "left_front_paw", "right_shoulder", "right_elbow", "right_front_paw",
        "left_hip", "left_knee", "left_back_paw", "right_hip", "right_knee", "right_back_paw",
    ),
    (
        0.025, 0.025, 0.026, 0.035, 0.035, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
        0.107, 0.087, 0.089, 0.107, 0.087, 0.089,
    ),
)  # fmt: skip
COCO = KnownPoints("COCO", _BODY, COCO_PERSON.sigmas, bones=COCO_PERSON.skeleton)
_SETS = (COCO, WHOLE_BODY, HALPE, HALPE_BODY, CROWD_POSE, AI_CHALLENGER, MPII, AP_10K)
_SYNONYMS = {"l": "left", "r": "right", "f": "front", "b": "back", "rknee": "right knee"}


def known_points(names: Sequence[str]) -> KnownPoints | None:
    """Find the set that has these names in this order, however they are spelt: ``L_F_Paw``, ``LEye``."""
    return _BY_KEYS.get(tuple(map(_key, names)))


def _key(name: str) -> str:
    key = " ".join(_SYNONYMS.get(word, word) for word in words(name))
    return {"top head": "head"}.get(key, key)


_BY_KEYS = {tuple(map(_key, known.names)): known for known in _SETS}
