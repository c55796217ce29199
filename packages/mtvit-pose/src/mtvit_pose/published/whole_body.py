"""The 133 keypoints of COCO-WholeBody (Jin et al. 2020): body, feet, face, hands."""

from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema

_FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HANDS = tuple(
    name
    for side in ("left", "right")
    for name in (f"{side}_hand_root", *(f"{side}_{finger}{i}" for finger in _FINGERS for i in range(1, 5)))
)
# Points of the face that mirror each other, as first, last and number of pairs counted inwards.
_FACE_MIRRORS = (
    (0, 16, 8), (17, 26, 5), (31, 35, 2), (36, 45, 4), (40, 47, 2), (48, 54, 3), (55, 59, 2), (60, 64, 2),
    (65, 67, 1),
)  # fmt: skip
_NAMES = (*COCO_PERSON.names, *_FEET, *(f"face-{i}" for i in range(68)), *_HANDS)
_FACE, _LEFT_HAND, _RIGHT_HAND = 23, 91, 112
_WRISTS, _ANKLES = (9, 10), (15, 16)

_BODY_BONES = tuple(bone for bone in COCO_PERSON.skeleton)
_FOOT_BONES = tuple((_ANKLES[side], 17 + 3 * side + i) for side in range(2) for i in range(3))
_HAND_BONES = tuple(
    (_WRISTS[side] if i == 0 else root + 4 * finger + i, root + 4 * finger + i + 1)
    for side, root in enumerate((_LEFT_HAND, _RIGHT_HAND))
    for finger in range(5)
    for i in range(4)
)

WHOLE_BODY = KeypointSchema(
    names=_NAMES,
    skeleton=(*_BODY_BONES, *_FOOT_BONES, *_HAND_BONES),
    flip_pairs=(
        *COCO_PERSON.flip_pairs,
        *((17 + i, 20 + i) for i in range(3)),
        *((_FACE + a + i, _FACE + b - i) for a, b, count in _FACE_MIRRORS for i in range(count)),
        *((_LEFT_HAND + i, _RIGHT_HAND + i) for i in range(21)),
    ),
    # Those of the authors' evaluation; both hands have the same.
    sigmas=(
        *COCO_PERSON.sigmas,
        0.068, 0.066, 0.066, 0.092, 0.094, 0.094,
        0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038,
        0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009,
        0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007,
        0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008,
        0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008,
        *2 * (
            0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017,
            0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
        ),
    ),
)  # fmt: skip
