"""Rendered rooms: a synthetic stand-in for NYUv2 with the same shapes, exact depth and exact normals.

Each frame is a furnished room of its own (:mod:`furnish`), seen by the camera of the real set from a corner of
it at the height of a hand, ray-cast (:mod:`raycast`) with a lamp, shadows and patterns (:mod:`textures`), and given
a camera's exposure and noise.
"""

from __future__ import annotations

import math

import numpy as np

from experiments.nyuv2.camera import camera_at
from experiments.nyuv2.furnish import furnished_room
from experiments.scenes.arrays import Arrays
from experiments.scenes.develop import developed
from experiments.scenes.frames import NORMAL_STEPS
from experiments.scenes.raycast import camera_directions, cast
from experiments.scenes.textures import shaded

VERSION = 1  # raised whenever a frame's numbers change
GRAZING = 0.06  # cosine, below which a depth sensor sees no return


def render(random: np.random.Generator, size: tuple[int, int]) -> Arrays:
    """One frame of a new room: the four arrays, without the frame axis."""
    scene = furnished_room(random)
    origin, axes = _viewpoint(scene.room, random)  # [3], [3, 3]: right, up, forward
    directions = camera_directions(camera_at(size), axes, size)  # [R, 3]
    hits = cast(scene, origin, directions)

    warmth, strength = random.uniform(-0.15, 0.15), random.uniform(0.5, 1.4)
    lamp = strength * np.array([1 + warmth, 1, 1 - warmth])
    ambient = random.uniform(0.25, 0.5) * (1 - 0.5 * np.array([warmth, 0, -warmth]))
    image = developed(shaded(scene, hits, lamp, ambient).reshape(*size, 3), random)

    towards = hits.normal @ axes.T * np.array([1, 1, -1])  # [R, 3]: right, up, towards the camera
    facing = -(hits.normal * directions).sum(1) / np.linalg.norm(directions, axis=1)
    seen = facing > GRAZING
    return {
        "image": image.transpose(2, 0, 1),
        "label": hits.label.reshape(size),
        "depth": (hits.length * seen).astype(np.float16).reshape(1, *size),
        "normal": np.rint(towards * seen[:, None] * NORMAL_STEPS).astype(np.int8).T.reshape(3, *size),
    }


def _viewpoint(room: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera is, and its axes right, up and forward as rows."""
    origin = np.array([room[0] * random.uniform(0.2, 0.8), random.uniform(1.2, 1.7), random.uniform(0.15, 0.5)])
    aim = room * np.array([random.uniform(0.15, 0.85), 0.0, random.uniform(0.7, 1.0)])
    yaw = math.atan2(aim[0] - origin[0], aim[2] - origin[2])
    pitch, roll = math.radians(random.uniform(-24, 2)), math.radians(random.normal(0, 2.0))
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    level = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    above = np.cross(forward, level)  # x, y up, z forward is left-handed: this points up
    right = math.cos(roll) * level + math.sin(roll) * above
    return origin, np.stack([right, np.cross(forward, right), forward])
