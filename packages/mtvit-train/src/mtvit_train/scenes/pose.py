"""Random body poses: a kinematic skeleton in three dimensions, seen from a random side."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Vector = NDArray[np.float64]
SIDES = ("left", "right")


@dataclass(frozen=True)
class Limb:
    """Angles of one arm or leg in radians: away from the body, forwards, and the bend of elbow or knee."""

    out: float
    forward: float
    bend: float


@dataclass(frozen=True)
class Pose:
    """Angles of a body: `yaw` 0 faces the viewer, `lean` tips the torso forwards, `sway` to its left."""

    yaw: float
    lean: float
    sway: float
    roll: float
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]


@dataclass(frozen=True)
class Build:
    """Lengths of a body of height about 1."""

    shoulder: float
    hip: float
    torso: float
    arm: float
    leg: float
    head: float
    girth: float


def random_build(rng: Generator) -> Build:
    """Draws body proportions, from children with large heads to tall adults."""
    return Build(
        shoulder=float(rng.uniform(0.095, 0.13)),
        hip=float(rng.uniform(0.055, 0.075)),
        torso=float(rng.uniform(0.27, 0.32)),
        arm=float(rng.uniform(0.145, 0.175)),
        leg=float(rng.uniform(0.2, 0.25)),
        head=float(rng.uniform(0.078, 0.105)),
        girth=float(rng.uniform(0.9, 1.25)),
    )


def _degrees(rng: Generator, low: float, high: float) -> float:
    return float(np.deg2rad(rng.uniform(low, high)))


def _random_yaw(rng: Generator) -> float:
    kind = rng.random()
    if kind < 0.5:
        return _degrees(rng, -50, 50)
    if kind < 0.72:
        return _degrees(rng, 140, 220)
    return _degrees(rng, 50, 140) * float(rng.choice([-1, 1]))


def random_pose(rng: Generator) -> Pose:
    """Draws a pose: standing, walking, arms up, sitting, leaning, jumping or waving."""
    kind = rng.choice(["stand", "walk", "raise", "sit", "lean", "jump", "wave"])
    arms = [Limb(_degrees(rng, 8, 35), _degrees(rng, -15, 25), _degrees(rng, 5, 70)) for _ in SIDES]
    legs = [Limb(_degrees(rng, 2, 12), _degrees(rng, -6, 6), _degrees(rng, 0, 10)) for _ in SIDES]
    lean, sway = _degrees(rng, -4, 10), _degrees(rng, -6, 6)
    swing = _degrees(rng, 18, 42) * float(rng.choice([-1, 1]))
    if kind == "walk":
        arms = [Limb(_degrees(rng, 4, 15), s * swing, _degrees(rng, 15, 85)) for s in (-1, 1)]
        bends = [_degrees(rng, 5, 25) + (0.6 if s * swing < 0 else 0.0) for s in (1, -1)]
        legs = [Limb(_degrees(rng, 0, 5), s * swing, bend) for s, bend in zip((1, -1), bends, strict=True)]
    elif kind == "raise":
        arms = [Limb(_degrees(rng, 95, 172), _degrees(rng, -10, 10), _degrees(rng, 0, 70)) for _ in SIDES]
    elif kind == "sit":
        legs = [Limb(_degrees(rng, 4, 20), _degrees(rng, 65, 95), _degrees(rng, 65, 100)) for _ in SIDES]
        arms = [Limb(_degrees(rng, 5, 25), _degrees(rng, 10, 55), _degrees(rng, 20, 80)) for _ in SIDES]
    elif kind == "lean":
        lean, sway = _degrees(rng, 0, 55), _degrees(rng, -32, 32)
    elif kind == "jump":
        arms = [Limb(_degrees(rng, 60, 150), _degrees(rng, -10, 10), _degrees(rng, 0, 40)) for _ in SIDES]
        legs = [Limb(_degrees(rng, 18, 42), _degrees(rng, -10, 20), _degrees(rng, 0, 50)) for _ in SIDES]
    elif kind == "wave":
        raised = Limb(_degrees(rng, 70, 140), _degrees(rng, -10, 20), _degrees(rng, 30, 110))
        arms[int(rng.integers(2))] = raised
    roll = float(rng.normal(0, 0.1))
    return Pose(_random_yaw(rng), lean, sway, roll, (arms[0], arms[1]), (legs[0], legs[1]))


def _chain(limb: Limb, side: int, lengths: tuple[float, float], hint: Vector) -> tuple[Vector, Vector]:
    """Offsets of the middle and the end joint in body axes (left, up, forward)."""
    out, forward = limb.out, limb.forward
    upper = np.array([side * np.sin(out), -np.cos(out) * np.cos(forward), np.cos(out) * np.sin(forward)])
    across = hint - upper * (hint @ upper)
    lower = np.cos(limb.bend) * upper + np.sin(limb.bend) * across / np.linalg.norm(across)
    return upper * lengths[0], upper * lengths[0] + lower * lengths[1]


def _elbow_hint(arm: Limb, side: int) -> Vector:
    return np.array([-0.3 * side, 0.4 + np.sin(arm.forward), np.cos(arm.forward)])


def _knee_hint(leg: Limb) -> Vector:
    return np.array([0.0, -np.sin(leg.forward), -np.cos(leg.forward)])


def skeleton(pose: Pose, build: Build) -> dict[str, Vector]:
    """Joints of the body.

    Returns:
        By name, (x to the right, y down, z to the viewer): pelvis, chest, head, and for both sides shoulder,
        elbow, wrist, hip, knee, ankle and toe; and the unit vectors "to_left" and "to_front" of the body.
    """
    spine = np.array([np.sin(pose.sway), np.cos(pose.sway) * np.cos(pose.lean), np.sin(pose.lean)])
    body = {"pelvis": np.zeros(3), "chest": spine * build.torso}
    body["head"] = body["chest"] + spine * (build.head + 0.065) + np.array([0, 0, 0.015])
    across = np.array([np.cos(pose.sway), -np.sin(pose.sway), 0.0])
    for side, sign, arm, leg in zip(SIDES, (1, -1), pose.arms, pose.legs, strict=True):
        shoulder = body["chest"] + sign * across * build.shoulder
        hip = np.array([sign * build.hip, 0.0, 0.0])
        elbow, wrist = _chain(arm, sign, (build.arm, build.arm * 0.92), _elbow_hint(arm, sign))
        knee, ankle = _chain(leg, sign, (build.leg, build.leg * 0.96), _knee_hint(leg))
        body |= {f"{side}_shoulder": shoulder, f"{side}_hip": hip}
        body |= {f"{side}_elbow": shoulder + elbow, f"{side}_wrist": shoulder + wrist}
        body |= {f"{side}_knee": hip + knee, f"{side}_ankle": hip + ankle}
        body[f"{side}_toe"] = hip + ankle + np.array([sign * 0.02, -0.02, 0.07])
    body |= {"to_left": np.array([1.0, 0, 0]), "to_front": np.array([0, 0, 1.0])}
    return {name: _view(pose) @ joint for name, joint in body.items()}


def _view(pose: Pose) -> Vector:
    """Body axes (left, up, forward) to (right, down, towards the viewer)."""
    cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
    turned = np.array([[cos, 0, sin], [0, -1, 0], [-sin, 0, cos]])
    c, s = np.cos(pose.roll), np.sin(pose.roll)
    return np.asarray(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ turned, np.float64)
