"""People: a posed skeleton dressed in thick, textured parts, painted from back to front."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_train.scenes.figure import Figure, Joints, Part, fit
from mtvit_train.scenes.pose import SIDES, Build, Vector, random_build, random_pose, skeleton
from mtvit_train.scenes.texture import Array, Pattern, Texture, random_colour, random_texture

SKIN, HAIR, SHIRT, TROUSERS, SHOES, DARK, WHITE = range(7)
PALE, DEEP = np.array([0.98, 0.83, 0.71]), np.array([0.3, 0.18, 0.12])
"""The ends of the range of skin colours."""
RIM = 0.011
EAR_HIDES = -0.35
"""An ear is behind the head when farther back than this many head radii."""
CIRCLE = np.linspace(0, 2 * np.pi, 20, endpoint=False)
DIRECTIONS = np.stack([np.cos(CIRCLE), np.sin(CIRCLE)], axis=1)


@dataclass(frozen=True)
class Blob:
    """The convex hull of up to four circles (x, y, radius); `rim` draws a dark border of that width."""

    name: str
    ink: int
    circles: tuple[tuple[float, float, float], ...]
    shade: float = 1.0
    rim: float = RIM


@dataclass(frozen=True)
class Outfit:
    """What shapes the figure; `sleeves` and `legwear` count the covered limb halves, 0 to 2."""

    sleeves: int
    legwear: int
    skirt: bool
    long_hair: bool


def _circle(point: Vector, radius: float) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), radius


def _depth_shade(point: Vector) -> float:
    return float(np.clip(1 + 1.6 * point[2], 0.72, 1.12))


def _limb(name: str, ink: int, ends: tuple[Vector, Vector], radii: tuple[float, float]) -> Blob:
    circles = (_circle(ends[0], radii[0]), _circle(ends[1], radii[1]))
    return Blob(name, ink, circles, _depth_shade((ends[0] + ends[1]) / 2))


def _arm(body: dict[str, Vector], side: str, girth: float, outfit: Outfit) -> list[Blob]:
    shoulder, elbow, wrist = (body[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    hand = wrist + (wrist - elbow) * 0.12
    lower = SHIRT if outfit.sleeves == 2 else SKIN
    upper = SHIRT if outfit.sleeves else SKIN
    return [
        _limb(f"{side}_arm", SKIN, (wrist, hand), (0.028 * girth, 0.03 * girth)),
        _limb(f"{side}_arm", lower, (elbow, wrist), (0.031 * girth, 0.026 * girth)),
        _limb(f"{side}_arm", upper, (shoulder, elbow), (0.04 * girth, 0.032 * girth)),
    ]


def _leg(body: dict[str, Vector], side: str, girth: float, outfit: Outfit) -> list[Blob]:
    hip, knee, ankle, toe = (body[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle", "toe"))
    lower = TROUSERS if outfit.legwear == 2 else SKIN
    upper = TROUSERS if outfit.legwear else SKIN
    return [
        _limb(f"{side}_leg", SHOES, (ankle, toe), (0.034 * girth, 0.027 * girth)),
        _limb(f"{side}_leg", lower, (knee, ankle), (0.042 * girth, 0.031 * girth)),
        _limb(f"{side}_leg", upper, (hip, knee), (0.056 * girth, 0.044 * girth)),
    ]


def _torso(body: dict[str, Vector], girth: float, outfit: Outfit) -> list[Blob]:
    shoulders = [_circle(body[f"{side}_shoulder"], 0.044 * girth) for side in SIDES]
    waist = [_circle(body[f"{side}_hip"] * 0.9 + body["chest"] * 0.1, 0.05 * girth) for side in SIDES]
    hips = [_circle(body[f"{side}_hip"], 0.056 * girth) for side in SIDES]
    neck = [_circle(body["chest"], 0.034), _circle(body["chest"] * 0.6 + body["head"] * 0.4, 0.034)]
    seat = Blob("torso", TROUSERS, tuple(hips))
    if outfit.skirt:
        hem = [_circle(body[f"{side}_hip"] * 0.45 + body[f"{side}_knee"] * 0.55, 0.075) for side in SIDES]
        seat = Blob("torso", TROUSERS, (*hips, *hem))
    return [Blob("torso", SKIN, tuple(neck), 0.9), seat, Blob("torso", SHIRT, (*shoulders, *waist))]


def _face_points(body: dict[str, Vector], radius: float) -> dict[str, Vector]:
    front, left = body["to_front"], body["to_left"]
    down = np.cross(front, left)
    down *= np.sign(down[1])
    at = {"nose": front * 0.93 + down * 0.2}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        at[f"{side}_eye"] = front * 0.82 + sign * left * 0.42 - down * 0.12
        at[f"{side}_ear"] = sign * left * 0.96 + down * 0.05
    return {name: offset * radius for name, offset in at.items()}


def _head(body: dict[str, Vector], radius: float, face: dict[str, Vector], outfit: Outfit) -> list[Blob]:
    centre, front, up = body["head"], body["to_front"], body["head"] - body["chest"]
    up = up / np.linalg.norm(up)
    crown = centre - front * 0.22 * radius + up * 0.16 * radius
    chin = _circle(centre - up * 0.28 * radius, 0.8 * radius)
    blobs = [Blob("head", SKIN, (_circle(centre, radius), chin))]
    hair = [_circle(crown, radius)]
    if outfit.long_hair:
        hair.append(_circle(crown - front * 0.3 * radius - up * 1.3 * radius, radius * 0.75))
    blobs.insert(0 if front[2] > 0.2 else 1, Blob("head", HAIR, tuple(hair)))
    if front[2] > -0.35:
        middle = centre + front * 0.3 * radius - up * 0.16 * radius
        across = body["to_left"] * 0.3 * radius
        cheeks = (_circle(middle + across, 0.55 * radius), _circle(middle - across, 0.55 * radius))
        fringe = (_circle(crown + up * 0.1 * radius, 0.95 * radius),)
        blobs += [Blob("head", HAIR, fringe, rim=0.0), Blob("head", SKIN, cheeks, rim=0.0)]
    return blobs + _features(centre, radius, face, up)


def _features(centre: Vector, radius: float, face: dict[str, Vector], up: Vector) -> list[Blob]:
    """Ears, eyes and nose, as far as they face the viewer."""
    blobs = []
    for side in SIDES:
        ear, eye = face[f"{side}_ear"], face[f"{side}_eye"]
        if ear[2] > EAR_HIDES * radius:
            blobs.append(Blob("head", SKIN, (_circle(centre + ear, 0.2 * radius),), 0.9, RIM / 2))
        if eye[2] > 0:
            blobs.append(Blob("head", WHITE, (_circle(centre + eye, 0.24 * radius),), rim=0.0))
            blobs.append(Blob("head", DARK, (_circle(centre + eye, 0.15 * radius),), rim=0.0))
    if face["nose"][2] > -0.1 * radius:
        nose = centre + face["nose"]
        tip, bridge = _circle(nose, 0.14 * radius), _circle(nose + up * 0.25 * radius, 0.09 * radius)
        blobs.append(Blob("head", SKIN, (tip, bridge), 0.72, rim=0.0))
    return blobs


def _outlines(blobs: list[Blob], grow: Array) -> Array:
    """Support polygons of all blobs at once, shape (blobs, directions, 2)."""
    circles = np.array([blob.circles + (blob.circles[-1],) * (4 - len(blob.circles)) for blob in blobs])
    radii = circles[..., 2] + grow[:, None]
    reach = circles[..., :2] @ DIRECTIONS.T + radii[..., None]
    best = reach.argmax(axis=1)
    index = np.arange(len(blobs))[:, None]
    return np.asarray(circles[index, best, :2] + radii[index, best][..., None] * DIRECTIONS, np.float32)


def _parts(groups: list[list[Blob]]) -> list[Part]:
    """Rims first, then fills, group by group."""
    layers: list[tuple[Blob, float]] = []
    for group in groups:
        layers += [(replace(blob, shade=blob.shade * 0.5), blob.rim) for blob in group if blob.rim]
        layers += [(blob, 0.0) for blob in group]
    outlines = _outlines([blob for blob, _ in layers], np.array([grow for _, grow in layers], np.float32))
    return [Part(b.name, o, b.ink, b.shade) for (b, _), o in zip(layers, outlines, strict=True)]


def _groups(
    body: dict[str, Vector], build: Build, outfit: Outfit, face: dict[str, Vector]
) -> list[list[Blob]]:
    """The limbs, torso and head in painting order: the farther ones first, ties decided by small offsets."""
    front = float(body["to_front"][2])
    depth = {"torso": 0.0, "head": float(body["head"][2] * 0.5 + (0.02 if front > -0.2 else 0.05))}
    groups = {"torso": _torso(body, build.girth, outfit), "head": _head(body, build.head, face, outfit)}
    for side in SIDES:
        groups[f"{side}_arm"] = _arm(body, side, build.girth, outfit)
        groups[f"{side}_leg"] = _leg(body, side, build.girth, outfit)
        arm = [body[f"{side}_{joint}"][2] for joint in ("shoulder", "elbow", "wrist")]
        leg = [body[f"{side}_{joint}"][2] for joint in ("hip", "knee")]
        depth[f"{side}_arm"] = float(np.mean(arm)) + 0.015
        depth[f"{side}_leg"] = float(np.mean(leg)) * 0.9 - 0.012
    return [groups[name] for name in sorted(groups, key=lambda name: depth[name])]


def _owners(name: str) -> frozenset[str]:
    side, _, joint = name.partition("_")
    if joint in ("elbow", "wrist"):
        return frozenset({f"{side}_arm"})
    if joint in ("knee", "ankle"):
        return frozenset({f"{side}_leg"})
    if joint == "shoulder":
        return frozenset({f"{side}_arm", "torso"})
    return frozenset({f"{side}_leg", "torso"}) if joint == "hip" else frozenset({"head"})


def _hidden(name: str, body: dict[str, Vector], face: dict[str, Vector], build: Build) -> bool:
    """Whether the body itself is in the way, as far as its geometry tells."""
    if name in face:
        return bool(face[name][2] < (EAR_HIDES if name.endswith("ear") else 0.0) * build.head)
    middle = {"shoulder": body["chest"], "hip": body["pelvis"]}.get(name.partition("_")[2])
    return middle is not None and bool(body[name][2] - middle[2] < -0.6 * build.hip)


def _random_inks(rng: Generator) -> tuple[Texture, ...]:
    skin = PALE + (DEEP - PALE) * rng.beta(1, 1.3)
    cloth = [random_colour(rng, (0.15, 0.95), (0.25, 0.98)) for _ in range(3)]
    hair = random_colour(rng, (0.2, 0.7), (0.08, 0.6))
    hair = np.array([hair.max(), hair.mean(), hair.min()], np.float32)
    patterns: tuple[Pattern, ...] = ("plain", "stripes", "checker", "dots", "plain")
    inks = [random_texture(rng, skin.astype(np.float32), 0.05, (1, 2), ("plain",))]
    inks.append(random_texture(rng, hair, 0.1, (10, 20), ("plain", "stripes")))
    inks += [random_texture(rng, colour, 0.35, (6, 14), patterns) for colour in cloth[:2]]
    inks.append(random_texture(rng, cloth[2] * np.float32(0.6), 0.1, (1, 2), ("plain",)))
    for level in (0.06, 0.97):  # pupils, whites
        inks.append(random_texture(rng, np.full(3, level, np.float32), 0.02, (1, 2), ("plain",)))
    return tuple(inks)


def random_person(rng: Generator, category_id: int) -> Figure:
    """Draws a person: build, pose, viewing side, clothes and colours."""
    build = random_build(rng)
    body = skeleton(random_pose(rng), build)
    face = _face_points(body, build.head)
    skirt = bool(rng.random() < 0.2)
    legwear = 0 if skirt else int(rng.choice([1, 2], p=[0.3, 0.7]))
    sleeves = int(rng.choice([0, 1, 2], p=[0.1, 0.45, 0.45]))
    outfit = Outfit(sleeves, legwear, skirt, long_hair=bool(rng.random() < 0.35))
    parts = _parts(_groups(body, build, outfit, face))
    centre, scale = fit([part.outline for part in parts])
    at = {**body, **{name: body["head"] + offset for name, offset in face.items()}}
    points = (np.array([at[name][:2] for name in COCO_PERSON.names], np.float32) - centre) * np.float32(scale)
    hidden = np.array([_hidden(name, body, face, build) for name in COCO_PERSON.names])
    joints = Joints(points.astype(np.float32), hidden, tuple(_owners(name) for name in COCO_PERSON.names))
    placed = tuple(replace(part, outline=(part.outline - centre) * np.float32(scale)) for part in parts)
    return Figure(category_id, placed, _random_inks(rng), joints)
